"""Pagination of listings: pages by the sequence number of the last change, and their cursors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from recommender.errors import InvalidRequestError
from recommender.stores.protocols import Interaction, LogEntry

T = TypeVar("T")


async def list_live(
    changed: Callable[[int, int], Awaitable[Sequence[tuple[int, str, T | None]]]],
    cursor: str | None,
    limit: int,
) -> tuple[list[T], str | None]:
    """A full page of records that are there, and the cursor behind it; None when nothing is left.

    Parameters
    ----------
    changed
        Gives (sequence, id, record or None) behind a sequence, at most so many.
    cursor
        Of the page before; None for the first.
    limit
        Length of a page.

    Raises
    ------
    InvalidRequestError
        The cursor is none that was given out.
    """
    after = from_cursor(cursor)
    live: list[tuple[int, T]] = []
    while len(live) <= limit:
        page = await changed(after, limit + 1)
        live += [(sequence, record) for sequence, _, record in page if record is not None]
        if len(page) <= limit:
            break
        after = page[-1][0]
    following = str(live[limit - 1][0]) if len(live) > limit else None
    return [record for _, record in live[:limit]], following


def from_cursor(cursor: str | None) -> int:
    """Sequence that a cursor stands for.

    Raises
    ------
    InvalidRequestError
        It is none that was given out.
    """
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 15):
        raise InvalidRequestError("cursor is not a next_cursor of the page before")
    return int(cursor)


def newest_first(entries: Sequence[LogEntry], before: tuple[float, int] | None) -> list[LogEntry]:
    """Interactions among some entries that come behind a time and an offset, the newest first."""
    timed = [(entry.event.timestamp, entry.offset, entry) for entry in entries if isinstance(entry.event, Interaction)]
    timed.sort(key=lambda each: each[:2], reverse=True)
    return [entry for *key, entry in timed if before is None or tuple(key) < before]
