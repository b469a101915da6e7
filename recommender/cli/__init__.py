"""The command line: ``recommender --help``."""

from recommender.cli import evaluating, learning, running
from recommender.cli.group import main

__all__ = ["evaluating", "learning", "main", "running"]
