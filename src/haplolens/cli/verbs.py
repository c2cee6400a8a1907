"""Every verb, in the order a person uses them: importing this registers them all."""

from haplolens.cli import run, files, analyses, predicting, trials, deconvolving, benches  # noqa: F401, I001
from haplolens.cli.app import app

__all__ = ["app"]
