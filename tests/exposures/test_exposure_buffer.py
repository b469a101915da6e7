"""Finished answers on their way into the store."""

import asyncio
import random

import pytest

from recommender.errors import StoreFullError, StoreUnavailableError
from recommender.exposures import ExposureBuffer, ExposureWriter, ShownItem
from recommender.exposures import buffer as buffer_module
from recommender.exposures.exposure import exposure_of, pack, unpack
from recommender.stores import MemoryStore
from tests.support.exposures import NOW, answer, exposure


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


class Failing(MemoryStore):
    """A store that is away, or full, for some calls."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    async def append_exposures(self, packed):
        if self.errors:
            raise self.errors.pop(0)
        await super().append_exposures(packed)


def written(store: MemoryStore) -> list[str]:
    return [unpack(entry.packed).recommendation_id for entry in asyncio.run(store.read_exposures(0, 1000))]


def test_an_answer_becomes_an_exposure_with_all_that_judging_it_later_needs():
    more = {"placement": "home", "experiment": {"name": "e", "variant": "b"}, "degraded": ["features"]}
    found = exposure_of(answer("r", "u", ["a", "b"], **more), NOW, 0.01)

    assert found.items == (ShownItem("a", 1), ShownItem("b", 2))
    assert (found.placement, found.experiment, found.variant, found.model_version) == ("home", "e", "b", "1")
    assert (found.user_id, found.recommendation_id, found.at, found.latency_s) == ("u", "r", NOW, 0.01)
    assert found.degraded
    assert unpack(pack(found)) == found


def test_where_the_request_forbids_a_fallback_nothing_was_shown():
    assert exposure_of(answer("r", items=[], strategy="none"), NOW) is None


def test_answers_are_written_in_their_order():
    store, buffer = MemoryStore(), ExposureBuffer()
    for number in range(200):
        buffer.record(answer(str(number)))

    asyncio.run(ExposureWriter(buffer, store).flush())

    assert written(store) == [str(number) for number in range(200)]


def test_a_full_buffer_drops_and_counts(monkeypatch):
    monkeypatch.setattr(buffer_module, "CAPACITY", 3)
    buffer = ExposureBuffer()
    for number in range(5):
        buffer.record(answer(str(number)))

    assert buffer.dropped == 2
    assert [each.recommendation_id for each in buffer.drain()] == ["0", "1", "2"]


def test_a_buffer_is_bounded_in_bytes_too(monkeypatch):
    monkeypatch.setattr(buffer_module, "CAPACITY_BYTES", 2 * len(answer("0")))
    buffer = ExposureBuffer()
    for number in range(3):
        buffer.record(answer(str(number)))
    buffer.drain()
    buffer.record(answer("3"))

    assert buffer.dropped == 1
    assert [each.recommendation_id for each in buffer.drain()] == ["3"]


def test_a_store_that_is_away_for_a_moment_gets_them_later():
    store, buffer = Failing(StoreUnavailableError("away")), ExposureBuffer()
    writer = ExposureWriter(buffer, store)
    buffer.record(answer("1"))
    asyncio.run(writer.flush())
    buffer.record(answer("2"))
    asyncio.run(writer.flush())

    assert written(store) == ["1", "2"]
    assert buffer.dropped == 0


def test_a_store_that_is_full_loses_them_and_they_are_counted():
    store, buffer = Failing(StoreFullError("full")), ExposureBuffer()
    buffer.record(answer("1"))
    asyncio.run(ExposureWriter(buffer, store).flush())

    assert (written(store), buffer.dropped) == ([], 1)


def test_what_could_not_be_written_for_a_minute_is_dropped():
    clock = Clock()
    buffer = ExposureBuffer(clock=clock)
    buffer.record(answer("old"))
    clock.now += buffer_module.OLDEST_S + 1
    buffer.record(answer("new"))

    assert [each.recommendation_id for each in buffer.drain()] == ["new"]
    assert buffer.dropped == 1


def test_a_sample_has_all_of_a_user_or_nothing_and_the_right_share():
    buffer = ExposureBuffer(0.3)
    users = [str(random.Random(0).random()) + str(number) for number in range(2000)]
    for user in users:
        buffer.record(answer("r", user))
        buffer.record(answer("s", user))
    kept = [each.user_id for each in buffer.drain(10_000)]

    assert len(kept) == 2 * len(set(kept))
    assert len(set(kept)) / len(users) == pytest.approx(0.3, abs=0.04)


def test_with_a_sample_of_nothing_nothing_is_kept():
    buffer = ExposureBuffer(0.0)
    buffer.record(answer("r"))

    assert len(buffer) == 0


def test_a_forgotten_user_leaves_the_buffer_and_the_stream_and_comes_again_later():
    clock = Clock()
    store, buffer = MemoryStore(), ExposureBuffer(clock=clock)
    writer = ExposureWriter(buffer, store)

    async def work() -> None:
        await store.append_exposures([pack(exposure("in the stream")), pack(exposure("other", "v", ["u"]))])
        buffer.record(answer("in the buffer"))
        buffer.record(answer("another", "v"))
        await writer.forget("u")
        clock.now += 1
        buffer.record(answer("later"))
        await writer.flush()

    asyncio.run(work())

    assert written(store) == ["other", "another", "later"]
