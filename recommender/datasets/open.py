"""`open_dataset`: a data set by its name or path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from recommender.datasets import folder, movielens, synthetic
from recommender.datasets.dataset import Dataset
from recommender.datasets.schema import Schema
from recommender.errors import InvalidDataError

SYNTHETIC = "synthetic"


def open_dataset(name: str | Path, types: Schema | Mapping[str, Any] | None = None) -> Dataset:
    """Open ``movielens-100k``, ``synthetic`` or a folder.

    Parameters
    ----------
    name
        A name, or the path of a folder. ``synthetic`` takes the arguments of `synthetic.make`:
        ``synthetic?n_users=1000&n_items=500``. A folder whose name is one of these is ``./synthetic``,
        or a `Path`.
    types
        Of a folder: what its columns are, as its ``schema.json`` would say: ``{"users": {"zip": "text"},
        "names": {"userId": "user_id"}, "ignore": ["rating"], "missing": ["", "NULL"]}``.

    Raises
    ------
    InvalidDataError
        The name is none of these, or the data is malformed.
    DownloadError
        MovieLens could not be fetched.
    """
    schema = types if isinstance(types, Schema) else Schema.of(types or {})
    if schema != Schema() and not Path(name).is_dir():
        raise InvalidDataError(f"types of columns are said of a folder, and {str(name)!r} is none")
    if isinstance(name, str):
        if name == movielens.NAME:
            return movielens.load()
        source, _, arguments = name.partition("?")
        if source == SYNTHETIC:
            return synthetic.make(**_arguments(arguments))
    if name and Path(name).is_dir():  # no name at all would be the folder we are in
        return folder.load(Path(name), schema)
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
