"""Filters: which items may be in an answer, by what the catalogue says of them."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.errors import InvalidRequestError
from recommender.ids import UNKNOWN
from recommender.snapshot import Snapshot


@dataclass(frozen=True)
class Filter:
    """A conjunction of clauses.

    Parameters
    ----------
    required
        By name, the tokens of which an item must have at least one.
    forbidden
        Tokens of which an item must have none.
    """

    required: dict[str, list[str]]
    forbidden: list[str]

    @classmethod
    def parse(cls, clauses: Sequence[str]) -> Filter:
        """Read ``genres:Comedy`` (must hold) and ``-genres:Horror`` (must not).

        Several names must all hold; of one name given several times, one value must.

        Raises
        ------
        InvalidRequestError
            A clause is not ``name:value``.
        """
        required: dict[str, list[str]] = {}
        forbidden: list[str] = []
        for clause in clauses:
            name, colon, _ = clause.removeprefix("-").partition(":")
            if not colon or not name:
                raise InvalidRequestError("a filter is name:value or -name:value, as in genres:Comedy")
            if clause.startswith("-"):
                forbidden.append(clause[1:])
            else:
                required.setdefault(name, []).append(clause)
        return cls(required, forbidden)

    def rows(self, snapshot: Snapshot) -> NDArray[np.bool_]:
        """Which rows of the snapshot it lets through, bool of shape (n_items,)."""
        kept = np.ones(snapshot.n_items, np.bool_)
        for clauses in self.required.values():
            kept &= _any_of(snapshot, clauses)
        if self.forbidden:
            kept &= ~_any_of(snapshot, self.forbidden)
        return kept

    def holds(self, tokens: Set[str]) -> bool:
        """Whether it lets an item with these tokens through."""
        wanted = all(any(token in tokens for token in either) for either in self.required.values())
        return wanted and not any(token in tokens for token in self.forbidden)


def _any_of(snapshot: Snapshot, tokens: Sequence[str]) -> NDArray[np.bool_]:
    found = np.zeros(snapshot.n_items, np.bool_)
    for token in tokens:
        column = snapshot.filter_tokens.index_of(token)
        if column != UNKNOWN:
            found[snapshot.filter_rows.row(column)] = True
    return found
