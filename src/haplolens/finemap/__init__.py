"""The statistics of causes: regions, encoding-aware SuSiE, credible sets, ranking. Imports no network."""
