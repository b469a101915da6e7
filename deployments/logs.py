"""What the parts of the service say on the console."""

from __future__ import annotations

import logging
import sys

ROOT = "recommender"


def configure() -> None:
    """Show our own lines from INFO on; Ray carries a process's standard error to the console of `serve run`."""
    logger = logging.getLogger(ROOT)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(levelname)s %(asctime)s %(name)s -- %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
