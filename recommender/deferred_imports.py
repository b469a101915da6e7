"""Imports that wait until they are needed: members of a package's public face, and libraries of optional extras."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from recommender.errors import MissingExtraError


def lazy_members(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """``__getattr__`` of a package that imports its public members when they are first asked for (PEP 562).

    A process that only stores or forwards starts without scipy and LightFM. No member may have the name of a
    submodule: that attribute is the module once anything has imported it.

    Parameters
    ----------
    package
        Name of the package, its ``__name__``.
    homes
        Submodule that defines a member, by the name of the member.
    """

    def load_member(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return load_member


def needed(module: str, extra: str = "evaluation") -> Any:
    """Import a module of an extra.

    Raises
    ------
    MissingExtraError
        It is not installed; the message says how to install it.
    """
    check_installed(module.partition(".")[0], extra)
    return importlib.import_module(module)


def check_installed(library: str, extra: str = "evaluation") -> None:
    """Raise `MissingExtraError` where a library of an extra is not installed."""
    if find_spec(library) is None:
        raise MissingExtraError(f"{library} is not installed; install it with: pip install 'lightfm-serve[{extra}]'")
