"""Exposure log of an ingress: finished answers on their way into the store, and what is lost of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from deployments.telemetry import metrics
from recommender.exposures.buffer import ExposureBuffer, ExposureWriter
from recommender.exposures.exposure import Exposure, pack


class ExposureLog:
    """Takes finished answers and writes them beside the answers' way.

    Parameters
    ----------
    store
        Which has the stream of exposures.
    sample
        Share of the users whose exposures are kept.
    """

    def __init__(self, store: Any, sample: float = 1.0) -> None:
        self._store = store
        self._buffer = ExposureBuffer(sample)
        self._writer = ExposureWriter(self._buffer, store)
        self._counted = 0, 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to write."""
        self._tasks = [asyncio.create_task(self._writer.run()), asyncio.create_task(self._tell())]

    def record(self, answers: Sequence[bytes], latency_s: float) -> None:
        """Take answers that are finished; nothing of them is read now."""
        for answer in answers:
            self._buffer.record(answer, latency_s)

    async def add(self, exposures: Sequence[Exposure]) -> None:
        """Put exposures of a page elsewhere into the stream; they are there when this returns."""
        await self._store.append_exposures([pack(each) for each in exposures])
        metrics.count(metrics.EXPOSURES, len(exposures), outcome="written")

    async def forget(self, user_id: str) -> None:
        """Erase a user from what waits here and in the stream."""
        await self._writer.forget(user_id)

    @property
    def dropped(self) -> int:
        """Exposures that this process has lost."""
        return self._buffer.dropped

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.tell_metrics()

    def tell_metrics(self) -> None:
        """Bring the counters up to date."""
        written, dropped = self._writer.written, self._buffer.dropped
        metrics.count(metrics.EXPOSURES, written - self._counted[0], outcome="written")
        metrics.count(metrics.EXPOSURES, dropped - self._counted[1], outcome="dropped")
        self._counted = written, dropped
