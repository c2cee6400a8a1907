"""haplolens."""
