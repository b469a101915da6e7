"""Counts are added up before Ray hears of them, and none is lost."""

import asyncio

from deployments.telemetry import counter_buffer
from deployments.telemetry.counter_buffer import CounterBuffer


def test_what_is_counted_within_a_moment_is_told_once_by_its_labels(monkeypatch):
    monkeypatch.setattr(counter_buffer, "TOLD_AFTER_S", 0.01)
    told: list[tuple[str, int, dict[str, str]]] = []

    async def story() -> None:
        done = asyncio.Event()
        buffer = CounterBuffer(lambda *each: (told.append(each), done.set()))
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
    CounterBuffer(lambda *each: told.append(each)).add("requests", 3, {})

    assert told == [("requests", 3, {})]


def test_what_waits_in_a_loop_that_has_ended_is_told_with_what_comes_in_the_next(monkeypatch):
    monkeypatch.setattr(counter_buffer, "TOLD_AFTER_S", 0.01)
    told: list[int] = []
    buffer = CounterBuffer(lambda _counter, amount, _labels: told.append(amount))

    async def count(*, wait: bool) -> None:
        buffer.add("requests", 1, {})
        if wait:
            async with asyncio.timeout(30):
                while not told:  # noqa: ASYNC110 (a buffer sends no event)
                    await asyncio.sleep(0.01)

    asyncio.run(count(wait=False))
    asyncio.run(count(wait=True))

    assert told == [2]
