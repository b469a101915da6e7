"""Batches of records whose bodies stay below the service's size limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from lightfm_serve.client.endpoints import Call, Given

T = TypeVar("T")

MOST_BYTES = 8 * 1024 * 1024
"""Of a body; the service takes 16 MiB, and wants them within seconds."""


def fitting(
    describe: Callable[[Sequence[Given]], Call[T]], rows: Sequence[Given]
) -> Iterator[tuple[Call[T], Sequence[Given]]]:
    """One call for all rows, or several where its body would be too long; a single row goes as it is.

    Returns
    -------
    Calls, each with its rows.
    """
    call = describe(rows)
    if len(call.body or b"") <= MOST_BYTES or len(rows) == 1:
        yield call, rows
        return
    middle = len(rows) // 2
    yield from fitting(describe, rows[:middle])
    yield from fitting(describe, rows[middle:])
