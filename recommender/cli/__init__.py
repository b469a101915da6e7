"""The command line: ``recommender --help``."""

from recommender.cli import evaluating, examining, exporting, importing, inspecting, learning, running
from recommender.cli.group import main

__all__ = ["evaluating", "examining", "exporting", "importing", "inspecting", "learning", "main", "running"]
