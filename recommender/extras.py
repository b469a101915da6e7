"""What only the optional extras ``evaluation`` and ``tune`` install."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from recommender.errors import MissingExtraError


def needed(module: str) -> Any:
    """Import a module of the extra.

    Raises
    ------
    MissingExtraError
        It is not installed; the message says how to install it.
    """
    check_installed(module.partition(".")[0])
    return importlib.import_module(module)


def check_installed(library: str, extra: str = "evaluation") -> None:
    """Raise `MissingExtraError` where a library of an extra is not installed."""
    if find_spec(library) is None:
        raise MissingExtraError(f"{library} is not installed; install it with: pip install 'lightfm-serve[{extra}]'")
