"""Forgetting on request: what is told of it, and when processes that serve count as having taken over."""

import asyncio
import time
from contextlib import asynccontextmanager

from deployments.forgetting import Forgetting
from deployments.model_store import ModelStoreActor, Published
from recommender.errors import StateUnavailableError
from recommender.stores import MemoryStore
from recommender.stores.protocols import User
from recommender.training.erasure import Looked
from tests.support.asynchronous import asynchronous


class Shelf:
    """A place that fails as often as it is told to."""

    name = "shelf"

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.through = failures, 0

    async def erase(self, _user_id, through):
        if self.failures:
            self.failures -= 1
            raise StateUnavailableError("the shelf is away")
        self.through = through
        return 2

    async def look(self, _user_id):
        return "every book", 0


@asynccontextmanager
async def alone():
    yield


async def nothing():
    pass


async def ended(forgetting: Forgetting, user_id: str):
    while (report := forgetting.report(user_id)).status == "running":  # noqa: ASYNC110 (as who asks over HTTP does)
        await asyncio.sleep(0.01)
    return report


@asynchronous
async def test_a_user_is_deleted_first_and_then_erased_place_by_place():
    store, shelf = MemoryStore(), Shelf()
    await store.put_users([User("ann", {"age": 1}, 0.0)])
    forgetting = Forgetting(store, [shelf], alone, nothing)
    begun = forgetting.begin("ann", verify=True)
    report = await ended(forgetting, "ann")
    (state,) = (await store.fetch(["ann"])).users

    assert begun.status == "running"
    assert (report.status, report.places) == ("done", [Looked("shelf", "every book", 2, 0)])
    assert shelf.through == state.deleted_at == 1
    assert forgetting.report("bob") is None


@asynchronous
async def test_what_failed_is_told_and_is_done_when_it_is_asked_for_again():
    forgetting = Forgetting(MemoryStore(), [Shelf(failures=1)], alone, nothing)
    forgetting.begin("ann", verify=False)
    failed = await ended(forgetting, "ann")
    forgetting.begin("ann", verify=False)
    done = await ended(forgetting, "ann")

    assert (failed.status, failed.reason) == ("failed", "the shelf is away")
    assert (done.status, done.places) == ("done", [Looked("shelf", None, 2, None)])


def model_store() -> ModelStoreActor:
    made = ModelStoreActor.__new__(ModelStoreActor)
    made._asked_at, made._serial, made._followers = time.monotonic(), 2, {}
    made._published = Published("00000001", [None], 2)
    made._changed = asyncio.Condition()
    return made


@asynchronous
async def test_a_version_that_was_rewritten_goes_out_again_to_who_has_it_and_is_waited_for():
    models = model_store()
    before = await models.outdated()
    published = await models.wait_for("00000001", 1, "a predictor")
    while_it_loads = await models.outdated()
    waiting = asyncio.create_task(models.wait_for("00000001", 2, "a predictor"))
    await asyncio.sleep(0.01)
    afterwards = await models.outdated()
    waiting.cancel()

    assert published == Published("00000001", [None], 2)
    assert (before, while_it_loads, afterwards) == (0, 1, 0)
