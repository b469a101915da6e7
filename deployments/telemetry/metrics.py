"""Metrics: every counter, gauge and histogram of the service; Ray's Prometheus endpoint prefixes them with ``ray_``.

Labels take few values: routes as templates, statuses, versions; never an id of a user or an item.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from ray import serve
from ray.serve import metrics

from deployments.telemetry.metric_buffer import MetricBuffer
from deployments.telemetry.metric_snapshot import MetricRegistry, MetricsSnapshot

QUICK_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SLOW_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0)


@dataclass(frozen=True, eq=False)  # by identity: a key of what is looked up several times a request
class Metric:
    """Name, kind, labels and description of a metric."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    description: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = QUICK_S


REQUESTS = Metric("counter", "recommender_requests", "Answered HTTP requests.", ("route", "method", "status"))
REQUEST_SECONDS = Metric(
    "histogram", "recommender_request_seconds", "Time to answer an HTTP request.", ("route", "method")
)
EVENTS = Metric("counter", "recommender_events", "Interactions sent: accepted or duplicate.", ("outcome",))
EXPOSURES = Metric("counter", "recommender_exposures", "Exposures: written or dropped.", ("outcome",))
ONLINE_INTERACTIONS = Metric(
    "counter",
    "recommender_online_interactions",
    "Interactions of users who had been shown something, by the version that had shown it.",
    ("model_version",),
)
ONLINE_HITS = Metric(
    "counter", "recommender_online_hits", "Those of them that are attributed to it.", ("model_version",)
)
ANSWERS = Metric("counter", "recommender_answers", "Answers by what was known of the user.", ("strategy", "case"))
WAYS = Metric(
    "counter", "recommender_ways", "Answers given in the process that took the request, or along the chain.", ("way",)
)
DEGRADED = Metric("counter", "recommender_degraded", "Answers given without a part.", ("part",))
MODEL_INFO = Metric("gauge", "recommender_model_info", "1 for the version that a replica serves.", ("model_version",))
MODEL_AGE_SECONDS = Metric("gauge", "recommender_model_age_seconds", "Since the serving version was trained.")
HELD_OUT = Metric("gauge", "recommender_held_out", "Held-out metrics of the serving version.", ("metric",))
DATA_CHANGES = Metric(
    "gauge", "recommender_data_changes", "What of the data was otherwise at the serving version's training than before."
)
DATA_MISSING = Metric(
    "gauge",
    "recommender_data_missing",
    "Share of users and items without features, of interactions without a time.",
    ("of",),
)
DATA_SHIFT = Metric(
    "gauge", "recommender_data_popularity_shift", "Distance of new interactions from those learned before, 0 to 1."
)
INTERACTIONS_WAITING = Metric("gauge", "recommender_interactions_waiting", "In the log and not learned.")
SINCE_LEARNED_SECONDS = Metric(
    "gauge", "recommender_since_newest_learned_seconds", "Since the newest interaction that was learned."
)
TRAININGS = Metric("counter", "recommender_trainings", "Ended trainings.", ("mode", "outcome"))
TRAINING_SECONDS = Metric("histogram", "recommender_training_seconds", "Time of a training.", ("mode",), SLOW_S)
STORE_SECONDS = Metric("histogram", "recommender_store_seconds", "Time of a round trip to the store.", ("call",))
STORE_ERRORS = Metric("counter", "recommender_store_errors", "Calls that the store did not answer.", ("call",))
STORE_RESETS = Metric(
    "gauge", "recommender_store_resets", "How often the store came back with less, since the trainer started."
)
STORE_USED_BYTES = Metric("gauge", "recommender_store_used_bytes", "Memory that the store uses.")
STORE_LIMIT_BYTES = Metric("gauge", "recommender_store_limit_bytes", "Memory at which the store takes no more.")
LOG_LENGTH = Metric("gauge", "recommender_log_length", "Interactions that the log holds, learned or not.")
LOG_LIMIT = Metric("gauge", "recommender_log_limit", "Interactions at which the log takes no more.")

ALL = tuple(each for each in list(globals().values()) if isinstance(each, Metric))
BY_NAME = {metric.name: metric for metric in ALL}

TALLY = MetricRegistry()
"""What this process counts, for `GET /v1/metrics`; Prometheus asks Ray, which has it of every process."""


def _tell_counter(metric: Metric, amount: int, labels: dict[str, str]) -> None:
    _made(metric).inc(amount, labels)


def _tell_histogram(metric: Metric, values: list[float], labels: dict[str, str]) -> None:
    histogram = _made(metric)
    for value in values:
        histogram.observe(value, labels)


COUNTERS_TOLD_AFTER_S, HISTOGRAMS_TOLD_AFTER_S = 0.5, 0.1
"""Values of a histogram are told one by one: of half a second they would hold up requests for milliseconds."""
_COUNTS: MetricBuffer[Metric, int] = MetricBuffer(_tell_counter, COUNTERS_TOLD_AFTER_S)
_VALUES: MetricBuffer[Metric, list[float]] = MetricBuffer(_tell_histogram, HISTOGRAMS_TOLD_AFTER_S)


def count(metric: Metric, amount: int = 1, /, **labels: str) -> None:
    """Add to a counter; adding nothing does nothing."""
    if amount:
        _COUNTS.add(metric, amount, labels)
        TALLY.count(metric.name, amount, labels)


def observe(metric: Metric, value: float, /, **labels: str) -> None:
    """Add a value to a histogram; it takes values above 0 only."""
    _VALUES.add(metric, [max(value, 1e-9)], labels)
    TALLY.observe(metric.name, value, labels, metric.bounds)


def show(metric: Metric, value: float, /, **labels: str) -> None:
    """Set a gauge."""
    _made(metric).set(value, labels)
    TALLY.show(metric.name, value, labels)


def show_again() -> None:
    """Tell Ray of every gauge of this process as it was set last."""
    for name, labels, value in TALLY.shown():
        _made(BY_NAME[name]).set(value, labels)


def counted() -> MetricsSnapshot:
    """Counters and histograms of this replica."""
    context = serve.get_replica_context()
    return TALLY.counted(context.deployment, context.replica_tag)


@cache
def _made(metric: Metric) -> Any:
    """The metric of this process; made at its first use, since only then does a replica know who it is."""
    if metric.kind == "histogram":
        return metrics.Histogram(metric.name, metric.description, list(metric.bounds), metric.labels)
    kind = metrics.Counter if metric.kind == "counter" else metrics.Gauge
    return kind(metric.name, metric.description, metric.labels)
