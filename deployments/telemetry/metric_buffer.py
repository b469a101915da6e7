"""Metric buffer: keeps what is counted and observed for a moment, and tells Ray of it together.

To tell Ray's recorder of one event takes a sixth of what a small request costs; of many in a row, each much less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Generic, TypeVar

Labels = tuple[tuple[str, str], ...]
Recorded = TypeVar("Recorded")
Amount = TypeVar("Amount", int, list[float])


class MetricBuffer(Generic[Recorded, Amount]):
    """Amounts of metrics that Ray has not been told of yet, added up by metric and labels.

    What is recorded beside an event loop is told at once. A process that is killed takes what it kept along.

    Parameters
    ----------
    tell
        Adds an amount to a metric with labels.
    told_after_s
        How long amounts are kept.
    """

    def __init__(self, tell: Callable[[Recorded, Amount, dict[str, str]], None], told_after_s: float) -> None:
        self._tell: Callable[[Recorded, Amount, dict[str, str]], None] = tell
        self._told_after_s = told_after_s
        self._kept: dict[tuple[Recorded, Labels], Amount] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, metric: Recorded, amount: Amount, labels: Mapping[str, str]) -> None:
        """Record an amount: a count, or a list of observed values, which is kept and changed."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._tell(metric, amount, dict(labels))
            return
        key = metric, tuple(labels.items())
        if key in self._kept:
            self._kept[key] += amount
        else:
            self._kept[key] = amount
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(self._told_after_s, self.flush, context=Context())

    def flush(self) -> None:
        """Tell of everything."""
        kept, self._kept, self._loop = self._kept, {}, None
        for (metric, labels), amount in kept.items():
            self._tell(metric, amount, dict(labels))
