"""Haploblocks: linkage disequilibrium, and where its runs begin and end."""
