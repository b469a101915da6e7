"""Opening a data set by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from recommender.dataset import Dataset
from recommender.errors import InvalidDataError
from recommender.sources import folder, movielens, synthetic


def open_dataset(name: str) -> Dataset:
    """Open ``movielens-100k``, ``synthetic`` or a folder.

    Parameters
    ----------
    name
        ``synthetic`` takes the arguments of `synthetic.make`: ``synthetic?n_users=1000&n_items=500``.

    Raises
    ------
    InvalidDataError
        The name is none of these, or the data is malformed.
    DownloadError
        MovieLens could not be fetched.
    """
    if name == movielens.NAME:
        return movielens.load()
    kind, _, arguments = name.partition("?")
    if kind == "synthetic":
        return synthetic.make(**_arguments(arguments))
    if Path(name).is_dir():
        return folder.load(Path(name))
    raise InvalidDataError(f"{name!r} is no data set: give {movielens.NAME}, synthetic or an existing folder")


def _arguments(text: str) -> dict[str, Any]:
    given = dict(parse_qsl(text, keep_blank_values=True))
    unknown = [name for name in given if name not in synthetic.ARGUMENTS]
    if unknown:
        raise InvalidDataError(f"synthetic has no argument {unknown[0]!r}, only {', '.join(synthetic.ARGUMENTS)}")
    try:
        return {name: synthetic.ARGUMENTS[name](value) for name, value in given.items()}
    except ValueError as error:
        raise InvalidDataError(f"an argument of synthetic is malformed: {error}") from None
