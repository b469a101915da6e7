"""Traffic history: a ring buffer with the requests of each minute of the last day, kept by each ingress of its own."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from operator import add, sub

import msgspec

from deployments.telemetry import metrics
from deployments.telemetry.metric_snapshot import MetricRegistry

EVERY_S = 60
KEPT = 1440
UNCOUNTED = {
    "/v1/status",
    "/v1/metrics",
    "/v1/metrics/history",
    "/metrics",
    "/",
    "/console/{name}",
    "/healthz",
    "/readyz",
}
"""Routes of probes, and of the console for itself: nobody waits for these."""


class Minute(msgspec.Struct, frozen=True):
    """Requests that were answered in one minute; at least one was."""

    at: float
    """Its end, in seconds since the epoch."""
    requests: int
    failed: int
    """With a status of 500 and above."""
    refused: int
    """With one from 400 to 499."""
    buckets: list[int]
    """How many took how long, by `TrafficHistory.bounds`."""


class TrafficHistory(msgspec.Struct, frozen=True):
    """Requests of the last day by minute, oldest first; minutes without any are left out."""

    every_s: int
    since: float | None
    """When the first of those that tell began, in seconds since the epoch; None where none does."""
    bounds: list[float]
    """Upper ends of the buckets in seconds, rising; what is above the last is in one bucket more."""
    minutes: list[Minute]


class TrafficRecorder:
    """Ring buffer of minutes, filled with what a tally of metrics has more than at the minute before.

    Parameters
    ----------
    tally
        Of this process.
    """

    def __init__(self, tally: MetricRegistry = metrics.TALLY) -> None:
        self._tally, self._since = tally, time.time()
        self._minutes: deque[Minute] = deque(maxlen=KEPT)
        self._last = self._now(0.0)

    async def keep(self) -> None:
        """Look at the end of each minute; never ends."""
        while True:
            await asyncio.sleep(EVERY_S - time.time() % EVERY_S)
            self.look(round(time.time() / EVERY_S) * float(EVERY_S))

    def look(self, at: float) -> None:
        """Put down what came since the last look, as of the minute that ends at a time."""
        now, last = self._now(at), self._last
        self._last = now
        oldest = at - KEPT * EVERY_S
        while self._minutes and self._minutes[0].at <= oldest:
            self._minutes.popleft()
        if now.requests > last.requests:
            counts = (now.requests - last.requests, now.failed - last.failed, now.refused - last.refused)
            self._minutes.append(Minute(at, *counts, list(map(sub, now.buckets, last.buckets))))

    def history(self) -> TrafficHistory:
        """What this process has kept."""
        return TrafficHistory(EVERY_S, self._since, list(metrics.REQUEST_SECONDS.bounds), list(self._minutes))

    def _now(self, at: float) -> Minute:
        """Everything since the process began."""
        counted = self._tally.counted("", "")
        requests = [
            each for each in counted.counters if each.name == metrics.REQUESTS.name and _is_counted(each.labels)
        ]
        total = [0] * (len(metrics.REQUEST_SECONDS.bounds) + 1)
        for each in counted.histograms:
            if each.name == metrics.REQUEST_SECONDS.name and _is_counted(each.labels):
                total = _added(total, each.buckets)
        by_status = [(each.labels["status"][0], int(each.value)) for each in requests]
        failed, refused = (sum(value for first, value in by_status if first == kind) for kind in "54")
        return Minute(at, sum(value for _, value in by_status), failed, refused, total)


def merged(parts: Iterable[TrafficHistory]) -> TrafficHistory:
    """History of several replicas, added up minute by minute."""
    told = list(parts)
    minutes: dict[float, Minute] = {}
    for each in (minute for part in told for minute in part.minutes):
        minutes[each.at] = _both(minutes[each.at], each) if each.at in minutes else each
    since = min((part.since for part in told if part.since is not None), default=None)
    return TrafficHistory(EVERY_S, since, list(metrics.REQUEST_SECONDS.bounds), [minutes[at] for at in sorted(minutes)])


def _both(one: Minute, other: Minute) -> Minute:
    counts = (one.requests + other.requests, one.failed + other.failed, one.refused + other.refused)
    return Minute(one.at, *counts, _added(one.buckets, other.buckets))


def _added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return list(map(add, one, other))


def _is_counted(labels: dict[str, str]) -> bool:
    return labels.get("route") not in UNCOUNTED
