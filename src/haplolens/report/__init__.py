"""Pictures: plots and the one-file HTML report."""
