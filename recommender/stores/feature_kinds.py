"""Feature kinds: whether a name of a feature is a dense vector, and of how many numbers, the same for all who have it.

A store remembers the kind of each name in the step in which it takes a record: so two services, or two lengths at once,
cannot get past one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from recommender.dense_vectors.packing import is_packed, length_of
from recommender.errors import InvalidRequestError

PLAIN = 0
"""Kind of what is no vector; of a vector it is the count of its numbers."""
MOST_PLAIN = 10_000
"""Names of other kinds that a store remembers, on either side; where there are more, somebody uses ids as names."""


def kinds_of(records: Iterable[Mapping[str, Any] | None]) -> dict[str, int]:
    """Kind of each name in the features of some records.

    Raises
    ------
    InvalidRequestError
        A name has two.
    """
    found: dict[str, int] = {}
    for record in records:
        for name, value in (record or {}).items():
            if isinstance(value, str | list) and not value:
                continue  # it says nothing
            kind = length_of(value) if is_packed(value) else PLAIN
            check_kind(name, kind, found.setdefault(name, kind))
    return found


def check_kind(name: str, kind: int, known: int | None) -> None:
    """Refuse a feature that has another kind elsewhere.

    Raises
    ------
    InvalidRequestError
        It has; the message names both.
    """
    if known is not None and kind != known:
        raise InvalidRequestError(refusal(name, kind, known))


def refusal(name: str, kind: int, known: int) -> str:
    """Why a feature is refused: it has two lengths, or is a vector for some and text or a number for others."""
    if kind and known:
        return f"feature {name!r} is a vector of {kind} numbers here and of {known} elsewhere; one name has one length"
    here = f"a vector of {kind} numbers" if kind else "text or a number"
    elsewhere = f"a vector of {known} numbers" if known else "text or a number"
    return f"feature {name!r} is {here} here and {elsewhere} elsewhere; give one of the two another name"
