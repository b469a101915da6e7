"""The command line: ``recommender --help``."""

from lightfm_serve.cli import doctor, evaluate, export, import_, inspect_folder, status, train
from lightfm_serve.cli.group import main

__all__ = ["doctor", "evaluate", "export", "import_", "inspect_folder", "main", "status", "train"]
