"""Exposures of a state that is kept in a bucket: another machine goes on where the copy of the ledger ends."""

import asyncio
import uuid

import pytest

from recommender.exposures import ExposureFollower, ExposureKeeper, follower
from recommender.exposures.exposure import pack
from recommender.exposures.keeper import ARCHIVE_EVERY_S
from recommender.stores import MemoryStore
from tests.support.exposures import NOW, clicked, exposure


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Opens the state as on a machine of its own."""
    monkeypatch.setattr(follower, "SETTLE_S", 0.0)
    url, opened = f"memory://{uuid.uuid4().hex}", []

    def open_on(name: str) -> ExposureKeeper:
        monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / name))
        opened.append(ExposureKeeper(url, keep_days=3650))
        return opened[-1]

    yield open_on
    for keeper in opened:
        keeper.close()


async def show(keeper: ExposureKeeper, store: MemoryStore, *names: str) -> None:
    await store.append_exposures([pack(exposure(name)) for name in names])
    await ExposureFollower(keeper, store).follow()


def test_another_machine_goes_on_and_nothing_counts_twice_or_is_lost(machine):
    store = MemoryStore()

    async def work() -> list:
        first = machine("one")
        await store.append([clicked(named="a")])
        await show(first, store, "a", "b")
        kept_for_good = first.durable
        await show(first, store, "c")  # not copied yet: that is done once a minute
        waiting = await store.count_exposures()
        second = machine("two")
        await ExposureFollower(second, store).follow()
        names = [each.recommendation_id for _, each in second.page(None, 10, NOW).rows]
        return [kept_for_good.stream, waiting, names, second.ledger.read("SELECT SUM(exposures) FROM cells")]

    assert asyncio.run(work()) == [2, 1, ["c", "b", "a"], [(3,)]]


def test_the_log_is_trimmed_only_behind_the_copy(machine):
    store = MemoryStore()

    async def work() -> list[int]:
        keeper = machine("one")
        await show(keeper, store, "a")
        await store.append([clicked(named="a")])
        await ExposureFollower(keeper, store).follow()
        before = keeper.durable.log
        keeper._sent_at -= ARCHIVE_EVERY_S + 1
        await ExposureFollower(keeper, store).follow()
        return [before, keeper.durable.log]

    assert asyncio.run(work()) == [0, 1]
