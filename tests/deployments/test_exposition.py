"""Numbers for Prometheus, read by its own parser."""

from prometheus_client.parser import text_string_to_metric_families

from deployments.telemetry.exposition import exposition
from deployments.telemetry.metric_snapshot import MetricRegistry


def replica(name: str, requests: int):
    tally = MetricRegistry()
    tally.count("recommender_requests", requests, {"route": '/v1/"x"\\', "method": "GET", "status": "200"})
    tally.show("recommender_model_age_seconds", 1.5, {})
    for seconds in (0.0015, 0.0015, 20.0):
        tally.observe("recommender_request_seconds", seconds, {"route": "/", "method": "GET"}, (0.001, 0.002))
    return tally.counted("Ingress", name)


def test_prometheus_reads_each_replica_by_itself():
    families = {
        each.name: each for each in text_string_to_metric_families(exposition([replica("a", 2), replica("b", 3)]))
    }
    requests = {sample.labels["replica"]: sample for sample in families["recommender_requests"].samples}
    buckets = [
        sample.value
        for sample in families["recommender_request_seconds"].samples
        if sample.labels["replica"] == "a" and sample.name.endswith("_bucket")
    ]

    assert {name: sample.value for name, sample in requests.items()} == {"a": 2.0, "b": 3.0}
    assert requests["a"].name == "recommender_requests_total"
    assert requests["a"].labels == {
        "route": '/v1/"x"\\',
        "method": "GET",
        "status": "200",
        "deployment": "Ingress",
        "replica": "a",
    }
    assert families["recommender_model_age_seconds"].type == "gauge"
    assert buckets == [0.0, 2.0, 3.0]
    assert families["recommender_request_seconds"].type == "histogram"


def test_where_nobody_has_counted_there_is_nothing_to_read():
    assert exposition([]) == ""


def test_a_gauge_by_version_forgets_the_versions_of_long_ago():
    tally = MetricRegistry()
    for number in range(30):
        tally.show("recommender_model_info", 1, {"model_version": f"{number:08d}"})
    shown = tally.counted("Predictor", "a").gauges

    assert [each.labels["model_version"] for each in (shown[0], shown[-1])] == ["00000010", "00000029"]
