"""The command line: ``recommender --help``."""

from lightfm_serve.cli import doctor, evaluate, export, import_, inspect_folder, status, train
from lightfm_serve.cli.group import main

__all__ = ["evaluating", "examining", "exporting", "importing", "inspecting", "learning", "main", "running"]
