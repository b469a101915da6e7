"""Metrics over OTLP: a collector receives the numbers that `/metrics` has."""

import asyncio
import time
from pathlib import Path

import pytest
import yaml

from deployments.telemetry import metrics, otlp_metrics
from deployments.telemetry.exposition import exposition
from deployments.telemetry.metric_snapshot import MetricRegistry
from tests.support.otlp_receiver import OtlpReceiver

CUMULATIVE = 2
"""Temporality in OTLP."""


@pytest.fixture
def tally(monkeypatch) -> MetricRegistry:
    registry = MetricRegistry()
    registry.count("recommender_requests", 3, {"route": "/v1/popular", "method": "GET", "status": "200"})
    registry.count("recommender_requests", 2, {"route": "/v1/popular", "method": "GET", "status": "503"})
    registry.show("recommender_model_age_seconds", 12.5, {})
    for seconds in (0.0005, 0.0015, 99.0):
        registry.observe("recommender_store_seconds", seconds, {"call": "fetch"}, metrics.QUICK_S)
    monkeypatch.setattr(otlp_metrics, "TALLY", registry)
    monkeypatch.setenv(otlp_metrics.INTERVAL, "20")
    return registry


def sent(receiver: OtlpReceiver, messages: int) -> None:
    """Have the numbers sent until so many messages came."""

    async def story() -> None:
        otlp_metrics.begin()
        await asyncio.to_thread(receiver.wait_for_metrics, messages)

    asyncio.run(story())
    otlp_metrics._running.clear()


def test_a_collector_receives_what_metrics_shows_under_the_same_names(monkeypatch, tally):
    with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        sent(receiver, 2)
    resource, found = receiver.metrics[-1]

    assert resource["service.name"] == "lightfm-serve"
    assert all(f"\n{name}" in exposition([tally.counted("Ingress", "a")]) for name in found)
    requests = found["recommender_requests"].sum
    assert (requests.is_monotonic, requests.aggregation_temporality) == (True, CUMULATIVE)
    by_status = {point.attributes[2].value.string_value: point.as_int for point in requests.data_points}
    assert by_status == {"200": 3, "503": 2}
    [age] = found["recommender_model_age_seconds"].gauge.data_points
    assert (age.as_double, found["recommender_model_age_seconds"].unit) == (12.5, "s")
    assert age.time_unix_nano <= time.time_ns()
    [store] = found["recommender_store_seconds"].histogram.data_points
    assert (store.count, store.sum) == (3, pytest.approx(99.002))
    assert list(store.explicit_bounds) == list(metrics.QUICK_S)
    assert list(store.bucket_counts) == [1, 1, *[0] * (len(metrics.QUICK_S) - 2), 1]
    assert not store.HasField("max")


@pytest.mark.usefixtures("tally")
def test_a_collector_that_comes_late_gets_all_that_was_counted(monkeypatch):
    with OtlpReceiver() as gone:
        pass
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")

    async def story() -> None:
        otlp_metrics.begin()
        await asyncio.sleep(0.2)
        [task] = otlp_metrics._running
        assert not task.done()

    asyncio.run(story())
    otlp_metrics._running.clear()
    with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        sent(receiver, 1)

    points = receiver.metrics[0][1]["recommender_requests"].sum.data_points
    assert sum(point.as_int for point in points) == 5


@pytest.mark.usefixtures("tally")
def test_an_interval_that_is_no_number_stops_no_replica(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv(otlp_metrics.INTERVAL, "often")

    asyncio.run(asyncio.to_thread(otlp_metrics.begin))

    assert "no metrics go out: could not convert string to float" in caplog.text
    assert not otlp_metrics._running


def test_the_collector_in_deploy_listens_where_the_page_sends_to_and_uses_all_that_it_names():
    root = Path(__file__).parents[2]
    collector = yaml.safe_load((root / "deploy/otel-collector.yaml").read_text())
    pipelines = collector["service"]["pipelines"]
    address = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"]

    assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://{address}" in (root / "docs/telemetry.md").read_text()
    assert set(pipelines) == {"traces", "metrics"}
    for part in ("receivers", "processors", "exporters"):
        assert {name for pipeline in pipelines.values() for name in pipeline[part]} == set(collector[part])
