"""Cursors of listings: where a page ended."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.errors import InvalidRequestError


def to_cursor(page: Sequence[tuple[int, str]], limit: int) -> str | None:
    """Cursor behind a page of (sequence, id); None when there was less than was asked for."""
    return str(page[-1][0]) if len(page) == limit else None


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
