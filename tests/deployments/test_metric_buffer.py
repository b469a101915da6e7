"""Counts are added up before Ray hears of them, and none is lost."""

import asyncio

from deployments.telemetry.metric_buffer import MetricBuffer


def test_what_is_counted_within_a_moment_is_told_once_by_its_labels():
    told: list[tuple[str, int, dict[str, str]]] = []

    async def story() -> None:
        done = asyncio.Event()
        buffer = MetricBuffer(lambda *each: (told.append(each), done.set()), 0.01)
        for _ in range(2):
            done.clear()
            for number in range(10):
                buffer.add("requests", number, {"status": "200"})
            buffer.add("requests", 1, {"status": "404"})
            assert not done.is_set()
            await asyncio.wait_for(done.wait(), 30)

    asyncio.run(story())

    assert told == [("requests", 45, {"status": "200"}), ("requests", 1, {"status": "404"})] * 2


def test_beside_an_event_loop_it_is_told_at_once():
    told: list[tuple[str, int, dict[str, str]]] = []
    MetricBuffer(lambda *each: told.append(each), 0.01).add("requests", 3, {})

    assert told == [("requests", 3, {})]


def test_what_waits_in_a_loop_that_has_ended_is_told_with_what_comes_in_the_next():
    told: list[int] = []
    buffer = MetricBuffer(lambda _counter, amount, _labels: told.append(amount), 0.01)

    async def count(*, wait: bool) -> None:
        buffer.add("requests", 1, {})
        if wait:
            async with asyncio.timeout(30):
                while not told:  # noqa: ASYNC110 (a buffer sends no event)
                    await asyncio.sleep(0.01)

    asyncio.run(count(wait=False))
    asyncio.run(count(wait=True))

    assert told == [2]


def test_observed_values_are_told_together_each_as_it_was():
    told: list[tuple[str, list[float], dict[str, str]]] = []

    async def story() -> None:
        done = asyncio.Event()
        buffer = MetricBuffer(lambda *each: (told.append(each), done.set()), 0.01)
        for value in (0.5, 0.25, 0.5):
            buffer.add("seconds", [value], {"route": "/"})
        await asyncio.wait_for(done.wait(), 30)

    asyncio.run(story())

    assert told == [("seconds", [0.5, 0.25, 0.5], {"route": "/"})]
