"""The command line: ``recommender --help``."""

from lightfm_serve.cli.group import main

__all__ = ["main"]
