"""OTLP metrics: sends the numbers of this process to an OpenTelemetry collector, by the names that `/metrics` has.

They are cumulative since the process began, as there; nothing is counted twice for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deployments.telemetry import otlp
from deployments.telemetry.metric_snapshot import CountedHistogram, MetricsSnapshot
from deployments.telemetry.metrics import BY_NAME, TALLY

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric, MetricExporter, MetricsData
    from opentelemetry.sdk.resources import Resource

INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
EVERY_MS = 60_000.0
UNITS = {"_seconds": "s", "_bytes": "By"}

logger = logging.getLogger("recommender.telemetry")
_running: set[asyncio.Task[None]] = set()


def begin() -> None:
    """Send this process's numbers from now on, where metrics are wanted; to be called where its event loop runs."""
    if not otlp.is_wanted("metrics"):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

        exporter, every_s = OTLPMetricExporter(), float(os.environ.get(INTERVAL) or EVERY_MS) / 1e3
    except (ImportError, ValueError) as error:
        otlp.tell_missing("metrics", error)
        return
    otlp.log_failures(OTLPMetricExporter.__module__)
    _running.add(asyncio.create_task(_send_for_ever(exporter, otlp.resource(), every_s)))


async def _send_for_ever(exporter: MetricExporter, resource: Resource, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            # taken on the loop that counts, sent beside it
            await asyncio.to_thread(exporter.export, metrics_data(TALLY.counted("", ""), resource))
        except Exception as error:  # noqa: BLE001 (whatever it is, the next time sends all of it)
            logger.warning("metrics are not sent: %s", error)


def metrics_data(counted: MetricsSnapshot, resource: Resource) -> MetricsData:
    """Numbers of one process, as OpenTelemetry's exporters take them."""
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics  # noqa: PLC0415
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415

    [replica] = counted.replicas
    span = {"start_time_unix_nano": int(replica.since * 1e9), "time_unix_nano": time.time_ns()}
    scope = ScopeMetrics(InstrumentationScope(otlp.SERVICE), list(_metrics(counted, span)), "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metrics(counted: MetricsSnapshot, span: dict[str, Any]) -> Iterator[Metric]:
    from opentelemetry.sdk.metrics.export import AggregationTemporality as Temporality  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import Gauge, Histogram, NumberDataPoint, Sum  # noqa: PLC0415

    points: dict[str, list[Any]] = {}
    for one in (*counted.counters, *counted.gauges):
        points.setdefault(one.name, []).append(NumberDataPoint(one.labels, **span, value=one.value))
    for each in counted.histograms:
        points.setdefault(each.name, []).append(_histogram_point(each, span))
    for name, found in points.items():
        match BY_NAME[name].kind:
            case "counter":
                yield _metric(name, Sum(found, Temporality.CUMULATIVE, is_monotonic=True))
            case "gauge":
                yield _metric(name, Gauge(found))
            case "histogram":
                yield _metric(name, Histogram(found, Temporality.CUMULATIVE))


def _metric(name: str, data: Any) -> Metric:
    from opentelemetry.sdk.metrics.export import Metric  # noqa: PLC0415

    unit = next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")
    return Metric(name, BY_NAME[name].description, unit, data)


def _histogram_point(counted: CountedHistogram, span: dict[str, Any]) -> Any:
    from opentelemetry.sdk.metrics.export import HistogramDataPoint  # noqa: PLC0415

    unknown: Any = None  # smallest and largest are not kept, and OTLP need not have them
    return HistogramDataPoint(
        counted.labels,
        **span,
        count=sum(counted.buckets),
        sum=counted.sum,
        bucket_counts=counted.buckets,
        explicit_bounds=counted.bounds,
        min=unknown,
        max=unknown,
    )
