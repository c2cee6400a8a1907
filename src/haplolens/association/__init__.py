"""The scan: one variant at a time, in every encoding, under covariates and population structure."""
