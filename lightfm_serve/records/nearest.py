"""Nearest: of the names that are known, the one that somebody meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MOST_COMPARED = 2_000
"""Names beyond which only the case of letters is looked at: comparing takes time."""
LONGEST_SHOWN = 80


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The nearest of the `known` names; None where none is near."""
    by_folded = {each.casefold(): each for each in known}
    folded = name[:LONGEST_SHOWN].casefold()
    if folded in by_folded or len(by_folded) > MOST_COMPARED:
        return by_folded.get(folded)
    beginning = [each for each in by_folded if each.startswith(folded) or folded.startswith(each)]
    close = get_close_matches(folded, by_folded, 1, 0.6) or beginning[:1]
    return by_folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'genres'?``, or nothing where no name is near."""
    found = nearest(name, known)
    return "" if found is None else f"; did you mean {found!r}?"
