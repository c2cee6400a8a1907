"""The statistics of causes: regions, encoding-aware SuSiE, credible sets, ranking. Never imports a network."""
