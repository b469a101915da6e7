"""Finding: items by what someone has typed of their title or id."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from recommender.ids import UNKNOWN
from recommender.serving.catalogue import Catalogue

LINE, WORD, ID = "\n", " ", "\t"
"""What stands before a title, before each further word of it, and before an id."""


class TextSearch:
    """Finds items of a catalogue.

    Parameters
    ----------
    catalogue
        Where to look; only what may be returned is found.

    Notes
    -----
    All titles and ids lie in one string, the most popular first, so that a search ends as soon as it has enough. It
    takes about 40 bytes an item, and is made by `prepare` or at the first search: a service that nobody searches has
    none.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def prepare(self) -> None:
        """Make the string unless it is there; the catalogue may change meanwhile, for only the snapshot is read."""
        _ = self._text

    def find(self, text: str, k: int) -> list[int]:
        """Positions of items, the most fitting first.

        The item with exactly this id comes first, then titles and ids that begin so, titles with a word that begins
        so, and those that have it anywhere; the more popular first among each. Case does not matter.

        Returns
        -------
        At most `k` positions, as `Catalogue.item` takes them.
        """
        wanted = _folded(text)
        found: dict[int, None] = {}
        if not wanted:
            return []
        for position in self._candidates(text, wanted):
            if len(found) == k:
                break
            if self._is_live(position):
                found[position] = None
        return list(found)

    def _candidates(self, text: str, wanted: str) -> Iterator[int]:
        n_items, delta = self._catalogue.snapshot.n_items, self._catalogue.delta
        exact = self._catalogue.snapshot.item_ids.index_of(text)
        if exact != UNKNOWN:
            yield exact
        if text in delta.rows:
            yield n_items + delta.rows[text]
        # of the few of the delta none is in the string; they are looked at one by one
        lines = [_line(item.title, item.item_id) for item in delta.details]
        for needle in (LINE + wanted, ID + wanted, WORD + wanted, wanted):
            yield from self._in_snapshot(needle)
            yield from (n_items + row for row, line in enumerate(lines) if needle in line)

    def _in_snapshot(self, needle: str) -> Iterator[int]:
        text, ends, order = self._text
        place = text.find(needle)
        while place != -1:
            line = int(np.searchsorted(ends, place, "right"))
            yield int(order[line])
            place = text.find(needle, int(ends[line]))

    def _is_live(self, position: int) -> bool:
        row = position - self._catalogue.snapshot.n_items
        return bool(self._catalogue.delta.live[row]) if row >= 0 else not self._catalogue.masked[position]

    @cached_property
    def _text(self) -> tuple[str, np.ndarray, np.ndarray]:
        """Lines of all items, where each ends, and whose each is."""
        snapshot = self._catalogue.snapshot
        order = np.argsort(-snapshot.popularity, kind="stable")
        titles, ids = snapshot.titles.take(order), snapshot.item_ids.ids_of(order)
        lines = [_line(title, item_id) for title, item_id in zip(titles, ids, strict=True)]
        return "".join(lines), np.cumsum([len(line) for line in lines]), order


def _line(title: str | None, item_id: str) -> str:
    return f"{LINE}{_folded(title or '')}{ID}{_folded(item_id)}"


def _folded(text: str) -> str:
    """Text without case, each run of white space one blank."""
    return " ".join(text.casefold().split())
