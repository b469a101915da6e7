"""What the service tells of itself, read where Prometheus reads it."""

import json
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from deployments.telemetry.metrics import ALL, DATA_SHIFT
from tests.support.running_service import RunningService
from tests.support.stopped_store import without_store

DEPLOY = Path(__file__).parents[2] / "deploy" / "grafana"
RECOMMENDATIONS = "/v1/users/{user_id}/recommendations"
TOLD_AT_FIRST = {f"ray_{metric.name}" for metric in ALL if metric is not DATA_SHIFT}
"""Of the model's first training there is nothing before that its interactions could differ from."""
Samples = dict[str, list[tuple[dict[str, str], float]]]


def scrape(service: RunningService) -> Samples:
    """Samples of all targets that Ray names, by metric: labels and value."""
    (session,) = Path("/tmp/ray").glob(f"session_*_{service.process.pid}")  # noqa: S108 (where Ray keeps it)
    targets = json.loads((session / "prom_metrics_service_discovery.json").read_text())
    samples: Samples = {}
    for address in {address for each in targets for address in each["targets"]}:
        for line in httpx.get(f"http://{address}/metrics", timeout=10).text.splitlines():
            found = re.fullmatch(r"(ray_recommender_\w+)\{(.*)\} (\S+)", line)
            if found:
                labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found[2]))
                samples.setdefault(found[1], []).append((labels, float(found[3])))
    return samples


def total(samples: Samples, name: str, **labels: str) -> float:
    found = samples.get(name, [])
    return sum(value for own, value in found if labels.items() <= own.items())


def eventually(service: RunningService, holds: Callable[[Samples], bool], within_s: float = 120) -> Samples:
    """Samples as soon as something holds of them: Ray tells them every few seconds."""
    end = time.monotonic() + within_s
    while True:
        samples = scrape(service)
        if holds(samples) or time.monotonic() > end:
            return samples
        time.sleep(1)


@pytest.fixture(scope="module")
def told(service: RunningService) -> Samples:
    """Samples after a bit of everything."""
    with service.client() as client:
        answer = client.get("/v1/users/305/recommendations").json()
        assert answer["items"]
        client.get("/v1/users/nobody-at-all/recommendations")
        client.get("/v1/users/x/nowhere")
        client.get("/v1/users/305/recommendations?k=0")
        event = {"user_id": "305", "item_id": answer["items"][0]["item_id"], "event_id": uuid.uuid4().hex}
        for turn in range(12):
            # replicas take turns, and one counts only those whom it answered itself
            for _ in range(1 + turn % 2):
                client.get("/v1/users/305/recommendations?exclude_seen=false&k=1000")
            events = [event, {"user_id": "305", "item_id": "no-such"}]
            assert client.post("/v1/interactions", json={"interactions": events}).status_code == 202
        with without_store(service):
            assert client.get("/v1/users/305/recommendations").json()["degraded"] == ["features"]
    return eventually(service, is_complete)


def is_complete(samples: Samples) -> bool:
    """Whether every replica has told what it did: each does in its own time."""
    return {family(name) for name in samples} >= TOLD_AT_FIRST and all(
        total(samples, name, **labels) >= least
        for name, labels, least in (
            ("ray_recommender_requests_total", {"route": RECOMMENDATIONS, "status": "200"}, 14),
            ("ray_recommender_request_seconds_count", {"route": RECOMMENDATIONS}, 15),
            ("ray_recommender_events_total", {"outcome": "accepted"}, 13),
            ("ray_recommender_events_total", {"outcome": "duplicate"}, 11),
            ("ray_recommender_answers_total", {"strategy": "popular", "case": "IV"}, 1),
            ("ray_recommender_degraded_total", {"part": "features"}, 1),
            ("ray_recommender_store_errors_total", {"call": "fetch"}, 1),
            ("ray_recommender_online_hits_total", {}, 1),
            ("ray_recommender_online_interactions_total", {}, 13),
        )
    )


def family(sample: str) -> str:
    return re.sub(r"_(total|bucket|sum|count)$", "", sample)


def test_every_metric_is_told(told):
    assert {family(name) for name in told} == TOLD_AT_FIRST


@pytest.mark.usefixtures("told")
def test_gauges_are_told_at_every_scrape(service):
    gauges = {f"ray_{metric.name}" for metric in ALL if metric.kind == "gauge"} & TOLD_AT_FIRST

    for _ in range(12):
        time.sleep(0.7)
        assert gauges <= scrape(service).keys()


def test_every_number_of_dashboard_and_alerts_is_told(told):
    files = [path.read_text() for path in DEPLOY.iterdir() if path.is_file()]
    named = {name for text in files for name in re.findall(r"ray_recommender_\w+", text)}

    assert len(named) >= len(ALL)
    assert named - {f"ray_{DATA_SHIFT.name}"} <= told.keys()


def test_requests_are_told_by_route_and_status_and_never_by_id(told):
    name, route = "ray_recommender_requests_total", RECOMMENDATIONS

    assert total(told, name, route=route, method="GET", status="200") >= 14
    assert total(told, name, route=route, status="422") >= 1
    assert total(told, name, route="none", status="404") >= 1
    assert total(told, "ray_recommender_request_seconds_count", route=route) >= 15
    assert not any("305" in labels["route"] for samples in told.values() for labels, _ in samples if "route" in labels)
    assert not any("305" in labels.values() for samples in told.values() for labels, _ in samples)


def test_answers_events_and_hits_are_told(told):
    assert total(told, "ray_recommender_answers_total", strategy="popular", case="IV") >= 1
    assert total(told, "ray_recommender_events_total", outcome="accepted") >= 13
    assert total(told, "ray_recommender_events_total", outcome="duplicate") >= 11
    seen, hits = (total(told, f"ray_recommender_online_{what}_total") for what in ("interactions", "hits"))
    assert 0 < hits <= seen - 12  # a dozen were of an item that nobody is shown
    assert total(told, "ray_recommender_degraded_total", part="features") >= 1
    assert total(told, "ray_recommender_store_errors_total", call="fetch") >= 1


def test_the_model_is_told(told, client):
    active = client.get("/v1/models/active").json()
    serving = {labels["model_version"] for labels, value in told["ray_recommender_model_info"] if value == 1}

    assert active["version"] in serving
    assert total(told, "ray_recommender_held_out", metric="ndcg@10") == pytest.approx(active["metrics"]["ndcg@10"])
    assert total(told, "ray_recommender_trainings_total", mode="full", outcome="published") >= 1
    assert total(told, "ray_recommender_training_seconds_count", mode="full") >= 1
    assert total(told, "ray_recommender_model_age_seconds") > 0
    assert total(told, "ray_recommender_since_newest_learned_seconds") > 0
    assert total(told, "ray_recommender_interactions_waiting") >= 0


def test_the_service_tells_every_part_of_it_by_plain_names_at_one_address(told, client):
    text = client.get("/metrics").text
    lines = [line for line in text.splitlines() if not line.startswith("#")]

    assert told  # after something was counted
    assert {found for line in lines for found in re.findall(r'deployment="(\w+)"', line)} >= {"Ingress", "Trainer"}
    assert any(line.startswith("recommender_requests_total{") for line in lines)
    assert any(line.startswith("recommender_model_age_seconds{") for line in lines)
    assert "ray_" not in text
