"""Schema of a data folder: names and types of its columns, and the texts that stand for missing values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from shlex import quote
from typing import Any

import msgspec

from lightfm_serve.records.values import MISSING
from recommender.errors import InvalidDataError

FILE = "schema.json"
TYPES = ("text", "number", "boolean", "list", "time", "ignore")
ALIASES = {"category": "text", "categorical": "text", "string": "text", "numeric": "number", "bool": "boolean"}
STEMS = ("interactions", "users", "items")

_MEANINGFUL: Mapping[str, Collection[str]] = {
    "interactions": ("user_id", "item_id", "weight", "timestamp", "event"),
    "users": ("user_id",),
    "items": ("item_id", "title", "available"),
}
_USUAL: Mapping[str, Sequence[str]] = {
    "user_id": ("userid", "user", "uid", "customerid", "customer", "visitorid", "memberid", "reviewerid", "u"),
    "item_id": ("itemid", "item", "iid", "movieid", "movie", "productid", "product", "sku", "isbn", "asin", "bookid"),
    "weight": ("rating", "score", "stars", "bookrating", "value", "count", "plays", "quantity", "overall"),
    "timestamp": ("time", "ts", "date", "datetime", "createdat", "unixreviewtime", "eventtime", "unixtime", "t"),
    "event": ("eventtype", "action", "behavior", "feedbacktype", "type"),
}
"""Names that others use, in small letters without signs between them."""


@dataclass(frozen=True)
class Schema:
    """Names and types of columns, as a folder's schema file or a caller gives them.

    Parameters
    ----------
    types
        For ``interactions``, ``users`` and ``items``: the type of a column, one of `TYPES`.
    names
        Own name of a column, and what it is to be called here; in all files.
    ignored
        Columns that are left out: of all files, or of one as in ``interactions.genres``; ``*`` stands for any letters,
        and for no column that has a meaning here.
    missing
        What stands for a missing value, in small letters.
    """

    types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    ignored: Collection[str] = frozenset()
    missing: frozenset[str] = MISSING

    @classmethod
    def of(cls, content: Mapping[str, Any], where: str = "types") -> Schema:
        """Schema from what ``schema.json`` has.

        Parameters
        ----------
        content
            ``{"users": {"zip": "text"}, "items": …, "interactions": …, "names": {"userId": "user_id"},
            "ignore": ["rating"], "missing": ["", "NULL"]}``; all may be left out.
        where
            What is named in an error.

        Raises
        ------
        InvalidDataError
            A key or a type is none, or has another shape.
        """
        try:
            read = msgspec.convert(dict(content), _Content)
        except msgspec.ValidationError as error:
            raise InvalidDataError(f"{where}: {error}") from None
        types = {
            stem: {name: type_named(said, f"{where}: {stem}.{name}") for name, said in (getattr(read, stem)).items()}
            for stem in STEMS
            if getattr(read, stem)
        }
        missing = MISSING if read.missing is None else frozenset(each.strip().lower() for each in read.missing)
        return cls(types, read.names, frozenset(read.ignore), missing)

    @classmethod
    def of_folder(cls, folder: Path) -> Schema:
        """Schema of a folder; one that says nothing where there is no ``schema.json``."""
        path = folder / FILE
        if not path.is_file():
            return cls()
        try:
            content = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InvalidDataError(f"{path}: {error}") from None
        return cls.of(content, FILE)

    def and_then(self, other: Schema) -> Schema:
        """With what `other` says besides, which wins."""
        types = {stem: {**self.types.get(stem, {}), **other.types.get(stem, {})} for stem in STEMS}
        missing = self.missing if other.missing is MISSING else other.missing
        return replace(
            self,
            types=types,
            names={**self.names, **other.names},
            ignored=frozenset((*self.ignored, *other.ignored)),
            missing=missing,
        )

    def leaves_out(self, stem: str, own: str) -> bool:
        """Whether a column of a file is left out, by its own name."""
        names = (own, f"{stem}.{own}")
        kept = self.names.get(own, own) in _MEANINGFUL.get(stem, ())
        return any(
            name == pattern or (not kept and fnmatchcase(name, pattern)) for name in names for pattern in self.ignored
        )

    def own_columns(self, stem: str) -> set[str]:
        """Columns whose type is said for one file."""
        return set(self.types.get(stem, {}))

    def check_used(self, headers: Mapping[str, Collection[str]]) -> None:
        """Refuse to rename or leave out what no file has.

        Parameters
        ----------
        headers
            Names of the columns of each file, as they stand there, by its stem.
        """
        there = {name for header in headers.values() for name in header}
        both = there | {f"{stem}.{name}" for stem, header in headers.items() for name in header}
        for name in (*self.names, *self.ignored):
            if not any(fnmatchcase(each, name) for each in both):
                raise InvalidDataError(f"no file has a column {name!r}{did_you_mean(name, there)}")


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    interactions: dict[str, str] = {}
    users: dict[str, str] = {}
    items: dict[str, str] = {}
    names: dict[str, str] = {}
    ignore: list[str] = []
    missing: list[str] | None = None


def type_named(word: str, where: str) -> str:
    """Type that a word means.

    Raises
    ------
    InvalidDataError
        It means none.
    """
    found = ALIASES.get(word.lower(), word.lower())
    if found not in TYPES:
        raise InvalidDataError(f"{where}: {word!r} is no type; there are {', '.join(TYPES)}")
    return found


def split_type(header: str) -> tuple[str, str | None]:
    """Name and type of a column from its header: ``brand:text``; a suffix that is no type belongs to the name."""
    name, colon, suffix = header.rpartition(":")
    word = ALIASES.get(suffix.lower(), suffix.lower())
    return (name, word) if colon and name and word in TYPES else (header, None)


def did_you_mean(name: str, there: Collection[str]) -> str:
    """``; did you mean 'x'?`` with the nearest of what is there; nothing where none is near."""
    near = get_close_matches(name.lower(), [each.lower() for each in there], 1)
    found = next((each for each in there if near and each.lower() == near[0]), None)
    return f"; did you mean {found!r}?" if found else ""


def usual_name(column: str) -> str | None:
    """Our name for a column that others call so; None for an unusual one."""
    bare = "".join(letter for letter in column.lower() if letter.isalnum())
    own = next((name for name, usual in _USUAL.items() if bare in usual), None)
    near = get_close_matches(column.lower(), list(_USUAL), 1, 0.75)
    return own or (near[0] if near else None)


def unknown_columns(names: Sequence[str], columns: Sequence[str]) -> str:
    """What to do about columns that are not known."""
    usual = usual_name(names[0])
    others = f"it out with --ignore {quote(names[0])}" if len(names) == 1 else "them out with --ignore 'interactions.*'"
    if usual is None or usual in columns:
        return f"leave {others}"
    return f"did you mean {usual!r}? Say so with --map {quote(names[0])}={usual}, or leave {others}"


def missing_column(name: str, columns: Sequence[str]) -> str:
    """What to do about a column that is not there."""
    found = next((each for each in columns if usual_name(each) == name), None)
    if found is None:
        return f"; if one of them is, say so with --map OWN={name}"
    return f"; did you mean {found!r}? Say so with --map {quote(found)}={name}"


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names by commas; of many the first."""
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"
