"""Requests of the last day, minute by minute."""

from deployments.telemetry import metrics
from deployments.telemetry.metric_snapshot import MetricRegistry
from deployments.telemetry.traffic_history import KEPT, TrafficRecorder, merged


def answer(tally: MetricRegistry, status: str = "200", route: str = "/v1/popular", seconds: float = 0.003) -> None:
    tally.count(metrics.REQUESTS.name, 1, {"route": route, "method": "GET", "status": status})
    tally.observe(
        metrics.REQUEST_SECONDS.name, seconds, {"route": route, "method": "GET"}, metrics.REQUEST_SECONDS.bounds
    )


def test_a_minute_has_what_came_since_the_one_before():
    tally = MetricRegistry()
    answer(tally)
    recorder = TrafficRecorder(tally)
    for status in ("200", "200", "404", "503"):
        answer(tally, status)
    recorder.look(60.0)
    recorder.look(120.0)
    answer(tally, seconds=1e9)
    recorder.look(180.0)
    first, last = recorder.history().minutes

    assert (first.at, first.requests, first.failed, first.refused, sum(first.buckets)) == (60.0, 4, 1, 1, 4)
    assert (last.at, last.requests, last.failed, last.buckets[-1]) == (180.0, 1, 0, 1)


def test_probes_and_the_console_itself_are_left_out():
    tally = MetricRegistry()
    recorder = TrafficRecorder(tally)
    answer(tally, route="/healthz")
    answer(tally, route="/v1/metrics/history")
    recorder.look(60.0)

    assert recorder.history().minutes == []


def test_a_day_is_kept_and_no_more():
    tally = MetricRegistry()
    recorder = TrafficRecorder(tally)
    for number in range(1, KEPT + 10):
        answer(tally)
        recorder.look(60.0 * number)
    assert len(recorder.history().minutes) == KEPT

    recorder.look(60.0 * (KEPT + 9 + KEPT // 2))
    assert len(recorder.history().minutes) == KEPT // 2


def test_replicas_add_up_minute_by_minute():
    tallies = [MetricRegistry(), MetricRegistry()]
    recorders = [TrafficRecorder(each) for each in tallies]
    for number, tally in enumerate(tallies):
        answer(tally, "503" if number else "200")
        recorders[number].look(60.0)
    answer(tallies[0])
    recorders[0].look(120.0)
    whole = merged([each.history() for each in recorders])

    assert [(each.at, each.requests, each.failed, sum(each.buckets)) for each in whole.minutes] == [
        (60.0, 2, 1, 2),
        (120.0, 1, 0, 1),
    ]
    assert whole.since == min(each.history().since for each in recorders)
    assert merged([]).since is None
