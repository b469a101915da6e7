"""Exposition: the numbers of replicas in Prometheus's text format [1]_, by their own names.

Each replica's numbers stand by themselves, with its name as a label: a counter of all together would fall whenever one
restarts, and be taken for one that began anew.

References
----------
.. [1] Prometheus, "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from deployments.telemetry.metric_snapshot import CountedHistogram, MetricsSnapshot
from deployments.telemetry.metrics import BY_NAME, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(parts: Iterable[MetricsSnapshot]) -> str:
    """Text of what replicas have counted, each by itself."""
    lines: defaultdict[str, list[str]] = defaultdict(list)
    for part in parts:
        for replica in part.replicas:
            own = {"deployment": replica.deployment, "replica": replica.replica}
            for name, line in _lines(part, own):
                lines[name].append(line)
    return "".join(text for name in BY_NAME if name in lines for text in (_head(BY_NAME[name]), *lines[name]))


def _lines(part: MetricsSnapshot, own: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for counter in part.counters:
        yield counter.name, _line(f"{counter.name}_total", {**counter.labels, **own}, counter.value)
    for gauge in part.gauges:
        yield gauge.name, _line(gauge.name, {**gauge.labels, **own}, gauge.value)
    for histogram in part.histograms:
        yield histogram.name, "".join(_of_histogram(histogram, {**histogram.labels, **own}))


def _of_histogram(histogram: CountedHistogram, labels: Mapping[str, str]) -> Iterator[str]:
    ends = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    counts = list(accumulate(histogram.buckets))
    for end, count in zip(ends, counts, strict=True):
        yield _line(f"{histogram.name}_bucket", {**labels, "le": end}, count)
    yield _line(f"{histogram.name}_sum", labels, histogram.sum)
    yield _line(f"{histogram.name}_count", labels, counts[-1])


def _head(metric: Metric) -> str:
    name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
    return f"# HELP {name} {metric.description}\n# TYPE {name} {metric.kind}\n"


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{told}}} {value!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
