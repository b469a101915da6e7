"""The command line: ``recommender --help``."""

from recommender.cli import evaluating, exporting, importing, learning, running
from recommender.cli.group import main
from recommender.doctor import doctor

main.add_command(doctor)

__all__ = ["evaluating", "exporting", "importing", "learning", "main", "running"]
