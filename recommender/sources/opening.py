"""Opening a data set by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from recommender.dataset import Dataset
from recommender.errors import InvalidDataError
from recommender.sources import folder, movielens, synthetic

SYNTHETIC = "synthetic"


def open_dataset(name: str | Path) -> Dataset:
    """Open ``movielens-100k``, ``synthetic`` or a folder.

    Parameters
    ----------
    name
        A name, or the path of a folder. ``synthetic`` takes the arguments of `synthetic.make`:
        ``synthetic?n_users=1000&n_items=500``. A folder whose name is one of these is ``./synthetic``,
        or a `Path`.

    Raises
    ------
    InvalidDataError
        The name is none of these, or the data is malformed.
    DownloadError
        MovieLens could not be fetched.
    """
    if isinstance(name, str):
        if name == movielens.NAME:
            return movielens.load()
        source, _, arguments = name.partition("?")
        if source == SYNTHETIC:
            return synthetic.make(**_arguments(arguments))
    if name and Path(name).is_dir():  # no name at all would be the folder we are in
        return folder.load(Path(name))
    raise InvalidDataError(
        f"there is no data set {str(name)!r}: give {movielens.NAME}, {SYNTHETIC}, "
        f"{SYNTHETIC}?n_users=1000&n_items=500, or a folder with interactions.csv or interactions.parquet"
    )


def _arguments(text: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError:
        raise InvalidDataError(f"{SYNTHETIC} takes name=value&name=value, not {text!r}") from None
    arguments: dict[str, Any] = {}
    for name, value in pairs:
        if name not in synthetic.ARGUMENTS:
            raise InvalidDataError(f"{SYNTHETIC} has no argument {name!r}; there are {', '.join(synthetic.ARGUMENTS)}")
        if name in arguments:
            raise InvalidDataError(f"{SYNTHETIC} has the argument {name!r} twice")
        try:
            arguments[name] = synthetic.ARGUMENTS[name](value)
        except ValueError:
            raise InvalidDataError(f"{SYNTHETIC}: {name} cannot be {value!r}") from None
    return arguments
