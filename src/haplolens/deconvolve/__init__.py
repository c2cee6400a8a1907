"""The neural deconvolver: it starts at the encoding-aware SuSiE of a region and must earn each step away from it."""
