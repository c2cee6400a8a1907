"""The claims, each re-made by one command."""
