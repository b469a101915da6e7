"""What processes count, and what it comes to together."""

import asyncio

import pytest

from deployments.http.request_metrics import RequestMetricsMiddleware
from deployments.telemetry.metric_snapshot import MetricRegistry, together
from deployments.telemetry.metrics import TALLY


def tally(*counted: tuple[str, int]) -> MetricRegistry:
    made = MetricRegistry()
    for status, amount in counted:
        made.count("requests", amount, {"route": "/", "status": status})
    return made


def test_counters_add_up_over_replicas_by_their_labels():
    parts = [
        tally(("200", 2), ("200", 3), ("404", 1)).counted("Ingress", "b"),
        tally(("200", 7)).counted("Ingress", "a"),
    ]
    whole = together(parts)

    assert {each.labels["status"]: each.value for each in whole.counters} == {"200": 12, "404": 1}
    assert [each.replica for each in whole.replicas] == ["a", "b"]


def test_a_value_falls_into_the_first_bucket_whose_end_it_does_not_pass():
    one, other = MetricRegistry(), MetricRegistry()
    for value in (0.05, 0.1, 0.3, 2.0):
        one.observe("seconds", value, {"route": "/"}, (0.1, 1.0))
    other.observe("seconds", 0.5, {"route": "/"}, (0.1, 1.0))
    [seconds] = together([one.counted("Ingress", "a"), other.counted("Ingress", "b")]).histograms

    assert (seconds.bounds, seconds.buckets) == ([0.1, 1.0], [2, 2, 1])
    assert seconds.sum == pytest.approx(2.95)


def test_what_was_handed_out_does_not_change_any_more():
    counting = tally(("200", 1))
    counting.observe("seconds", 0.5, {}, (1.0,))
    handed_out = counting.counted("Ingress", "a")
    counting.observe("seconds", 0.5, {}, (1.0,))

    assert handed_out.histograms[0].buckets == [1, 0]


def test_of_nobody_there_is_nothing():
    nothing = together([])

    assert (nothing.replicas, nothing.counters, nothing.histograms) == ([], [], [])


def test_a_client_that_does_not_wait_is_no_failure_of_ours():
    before = unfinished()

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    async def leave() -> None:
        waiting = asyncio.create_task(
            RequestMetricsMiddleware(never)({"type": "http", "method": "GET", "headers": []}, None, None)
        )
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(leave())
    assert unfinished() == before + 1


def unfinished() -> float:
    counters = TALLY.counted("Ingress", "a").counters
    return sum(each.value for each in counters if each.labels.get("status") == "499")


def test_versions_that_nobody_is_counted_for_any_longer_are_forgotten():
    made = MetricRegistry()
    for version in range(3_000):
        made.count("hits", 1, {"model_version": str(version)})
        made.count("hits", 1, {"model_version": "pinned"})
    kept = {each.labels["model_version"]: each.value for each in made.counted("Ingress", "a").counters}

    assert len(kept) == 20
    assert kept["pinned"] == 3_000
    assert kept["2999"] == 1
