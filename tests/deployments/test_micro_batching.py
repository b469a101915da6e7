"""Micro-batches: who travels with whom, and when. They need no service, and the times below only a patient loop."""

import asyncio

import pytest

from deployments.micro_batching import MicroBatcher

LONG_S = 60.0
"""Longer than any test takes: what leaves before has not waited for it."""


class Trips:
    """Answers of batches that return when they are told to."""

    def __init__(self, **waits: float) -> None:
        self.batches: list[list[int]] = []
        self.returned: list[asyncio.Future[None]] = []
        self._leaving = asyncio.Condition()
        self.together = MicroBatcher(self.answer, most=4, **waits)

    async def answer(self, asked: list[int]) -> list[int]:
        self.batches.append(asked)
        self.returned.append(asyncio.get_running_loop().create_future())
        async with self._leaving:
            self._leaving.notify_all()
        await self.returned[-1]
        return [10 * each for each in asked]

    def ask(self, *numbers: int) -> list[asyncio.Task[int]]:
        return [asyncio.create_task(self.together.ask(number)) for number in numbers]

    async def left(self, n: int) -> None:
        """Wait until so many batches have left."""
        async with asyncio.timeout(10), self._leaving:
            await self._leaving.wait_for(lambda: len(self.returned) >= n)


@pytest.fixture
def run():
    with asyncio.Runner() as runner:
        yield runner.run


def test_a_lone_request_leaves_when_it_has_waited_for_company(run):
    async def story():
        trips = Trips(idle_wait_s=0.001, busy_wait_s=LONG_S)
        [asked] = trips.ask(1)
        await trips.left(1)
        trips.returned[0].set_result(None)

        assert await asked == 10
        assert trips.batches == [[1]]

    run(story())


def test_what_comes_while_a_batch_is_under_way_leaves_together_when_it_is_back(run):
    async def story():
        trips = Trips(idle_wait_s=0.001, busy_wait_s=LONG_S)
        first = trips.ask(1)
        await trips.left(1)
        others = trips.ask(2, 3)
        await asyncio.sleep(0.02)
        assert trips.batches == [[1]]
        trips.returned[0].set_result(None)
        await trips.left(2)
        trips.returned[1].set_result(None)

        assert await asyncio.gather(*first, *others) == [10, 20, 30]
        assert trips.batches == [[1], [2, 3]]

    run(story())


def test_a_full_batch_leaves_whatever_is_under_way(run):
    async def story():
        trips = Trips(idle_wait_s=LONG_S, busy_wait_s=LONG_S)
        asked = trips.ask(*range(9))
        await trips.left(2)
        assert trips.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]
        for each in trips.returned:
            each.set_result(None)
        await trips.left(3)
        trips.returned[2].set_result(None)

        assert await asyncio.gather(*asked) == [10 * number for number in range(9)]

    run(story())


def test_a_batch_that_does_not_come_back_holds_nobody_up_for_longer_than_patience(run):
    async def story():
        trips = Trips(idle_wait_s=0.001, busy_wait_s=0.01)
        [stuck] = trips.ask(1)
        await trips.left(1)
        [other] = trips.ask(2)
        await trips.left(2)
        trips.returned[1].set_result(None)

        assert await other == 20
        assert not stuck.done()
        trips.returned[0].set_result(None)
        assert await stuck == 10

    run(story())


def test_an_error_reaches_everyone_of_its_batch_and_nobody_else(run):
    async def story():
        trips = Trips(idle_wait_s=0.001, busy_wait_s=LONG_S)
        asked = trips.ask(1, 2)
        await trips.left(1)
        later = trips.ask(3)
        await asyncio.sleep(0)  # it is asked, and waits
        trips.returned[0].set_exception(ValueError("no answer"))
        await trips.left(2)
        trips.returned[1].set_result(None)

        for each in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(each, ValueError)
        assert await later[0] == 30

    run(story())


def test_who_gives_up_is_not_asked_for_and_takes_nobody_along(run):
    async def story():
        trips = Trips(idle_wait_s=0.001, busy_wait_s=LONG_S)
        first = trips.ask(1, 2)
        await trips.left(1)
        first[0].cancel()
        gone, kept = trips.ask(3, 4)
        await asyncio.sleep(0)
        gone.cancel()
        trips.returned[0].set_result(None)
        await trips.left(2)
        trips.returned[1].set_result(None)

        assert await first[1] == 20
        assert await kept == 40
        assert trips.batches == [[1, 2], [4]]

    run(story())
