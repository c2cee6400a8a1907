"""Files to nouns and back. Genotype and result files are opened here and nowhere else."""
