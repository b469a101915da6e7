"""Metrics as JSON: counters and histograms of each process since it began, and their sum.

The numbers are those that Prometheus reads, by the same names. Labels take few values, so a tally stays small.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import add

import msgspec

MOST_VERSIONS = 20
"""A service that learns all day has thousands of versions; interactions are of the last few."""

Labels = tuple[tuple[str, str], ...]


class CountedCounter(msgspec.Struct, frozen=True):
    """A counter by its labels."""

    name: str
    labels: dict[str, str]
    value: float


class CountedHistogram(msgspec.Struct, frozen=True):
    """A histogram by its labels."""

    name: str
    labels: dict[str, str]
    bounds: list[float]
    """Upper ends of the buckets, rising; what is above the last is in one bucket more."""
    buckets: list[int]
    """How many fell into each bucket, not added up."""
    sum: float


class CountedReplica(msgspec.Struct, frozen=True):
    """A replica whose numbers are among them."""

    deployment: str
    replica: str
    since: float
    """When it began to count, in seconds since the epoch."""


class MetricsSnapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """What replicas have counted, added up over them."""

    replicas: list[CountedReplica]
    counters: list[CountedCounter]
    histograms: list[CountedHistogram]
    gauges: list[CountedCounter] = []
    """Of one replica alone: they cannot be added up."""


class MetricRegistry:
    """Counters and histograms of this process."""

    def __init__(self) -> None:
        self._since = time.time()
        self._counters: dict[tuple[str, Labels], float] = {}
        self._histograms: dict[tuple[str, Labels], tuple[Sequence[float], list[int], list[float]]] = {}
        self._gauges: dict[tuple[str, Labels], float] = {}

    def count(self, name: str, amount: float, labels: Mapping[str, str]) -> None:
        """Add to a counter; of one by version only the versions that were counted last are kept."""
        key = (name, tuple(labels.items()))
        self._counters[key] = self._counters.pop(key, 0) + amount
        if "model_version" in labels:
            own = [each for each in self._counters if each[0] == name]  # the one counted longest ago is first
            if len(own) > MOST_VERSIONS:
                del self._counters[own[0]]

    def observe(self, name: str, value: float, labels: Mapping[str, str], bounds: Sequence[float]) -> None:
        """Put a value into its bucket."""
        key = (name, tuple(labels.items()))
        kept = self._histograms.get(key)
        if kept is None:
            kept = self._histograms[key] = (bounds, [0] * (len(bounds) + 1), [0.0])
        kept[1][bisect_left(bounds, value)] += 1
        kept[2][0] += value

    def show(self, name: str, value: float, labels: Mapping[str, str]) -> None:
        """Set a gauge; of one by version only the versions that were set last are kept."""
        key = (name, tuple(labels.items()))
        self._gauges.pop(key, None)
        self._gauges[key] = value
        own = [each for each in self._gauges if each[0] == name] if "model_version" in labels else []
        if len(own) > MOST_VERSIONS:
            del self._gauges[own[0]]

    def shown(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Name, labels and value of each gauge."""
        return ((name, dict(labels), value) for (name, labels), value in self._gauges.items())

    def counted(self, deployment: str, replica: str) -> MetricsSnapshot:
        """All of it, as of one replica."""
        return MetricsSnapshot(
            [CountedReplica(deployment, replica, self._since)],
            [CountedCounter(name, dict(labels), value) for (name, labels), value in self._counters.items()],
            [
                CountedHistogram(name, dict(labels), list(bounds), list(buckets), total)
                for (name, labels), (bounds, buckets, [total]) in self._histograms.items()
            ],
            [CountedCounter(*each) for each in self.shown()],
        )


def together(parts: Iterable[MetricsSnapshot]) -> MetricsSnapshot:
    """Numbers of several replicas, added up."""
    replicas: list[CountedReplica] = []
    counters: dict[tuple[str, Labels], CountedCounter] = {}
    histograms: dict[tuple[str, Labels], CountedHistogram] = {}
    for part in parts:
        replicas += part.replicas
        for one in part.counters:
            key = (one.name, tuple(sorted(one.labels.items())))
            value = counters[key].value if key in counters else 0
            counters[key] = CountedCounter(one.name, one.labels, value + one.value)
        for each in part.histograms:
            key = (each.name, tuple(sorted(each.labels.items())))
            histograms[key] = _both(histograms[key], each) if key in histograms else each
    return MetricsSnapshot(
        sorted(replicas, key=lambda replica: (replica.deployment, replica.replica)),
        [counters[key] for key in sorted(counters)],
        [histograms[key] for key in sorted(histograms)],
    )


def _both(one: CountedHistogram, other: CountedHistogram) -> CountedHistogram:
    buckets = list(map(add, one.buckets, other.buckets))
    return CountedHistogram(one.name, one.labels, one.bounds, buckets, one.sum + other.sum)
