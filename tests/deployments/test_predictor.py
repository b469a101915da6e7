"""A predictor under calls that are heavy, without Ray around it."""

import asyncio
import threading

import msgspec
import pytest

from deployments.messages import Fetched, pack
from deployments.predictor import Predictor
from deployments.stages.answering import QueryAnswerer
from deployments.telemetry import metrics
from recommender.schema import Query, RankQuery, UserState
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.stores import MemoryStore
from recommender.stores.protocols import Item
from tests.support.known_worlds import item_features, shared_snapshot

HEAVY = [Query(user_id=f"u{number % 12}", k=1000, explain=True, diversity=0.3) for number in range(64)]


class Gate(Recommender):
    """A recommender whose work in another thread waits until it may end."""

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__(catalogue)
        self.open, self.begun, self.heavy = threading.Event(), threading.Event(), 0

    def _wait(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            self.heavy += 1
            self.begun.set()
            self.open.wait(30)

    def recommend_many(self, *each, **more):
        self._wait()
        return super().recommend_many(*each, **more)

    def rank(self, *each, **more):
        self._wait()
        return super().rank(*each, **more)


@pytest.fixture(autouse=True)
def _uncounted(monkeypatch):
    monkeypatch.setattr(metrics, "count", lambda *_, **__: None)


class Replica(Predictor.func_or_class):
    """The deployment's methods over a stage that serves a model, without a ModelStore to follow."""

    def __init__(self, wait_s: float) -> None:
        self.store, self.recommender = MemoryStore(), Gate(Catalogue(shared_snapshot()))
        self._answerer = QueryAnswerer(self.store, catalogue_wait_s=wait_s)
        self._answerer.serve(self.recommender)


def predictor(wait_s: float = 30.0) -> Replica:
    return Replica(wait_s)


def fetched(n: int, items_sequence: int = 0) -> bytes:
    return pack(Fetched([UserState()] * n, items_sequence, [], 0))


async def light(made, items_sequence: int = 0) -> dict:
    [found] = await made.recommend_many([], pack([Query(user_id="u3", k=5)]), fetched(1, items_sequence))
    return msgspec.json.decode(found)


@pytest.mark.parametrize("method", ["recommend_many", "answer"])
def test_light_requests_are_answered_while_a_heavy_one_runs(method):
    async def run() -> tuple[list[dict], bool, object]:
        made = predictor()
        ranking = RankQuery(items=tuple((f"i{number}", None) for number in range(5_000)), user_id="u3")
        body = pack(HEAVY) if method == "recommend_many" else pack(ranking)
        heavy = asyncio.create_task(getattr(made, method)([], body, fetched(len(HEAVY))))
        await asyncio.to_thread(made.recommender.begun.wait, 30)
        meanwhile = [await light(made) for _ in range(5)]
        still = not heavy.done()
        made.recommender.open.set()
        return meanwhile, still, await heavy

    meanwhile, still, found = asyncio.run(run())

    assert still
    assert all(len(each["items"]) == 5 for each in meanwhile)
    assert len(found) == len(HEAVY) or method == "answer"


def test_a_heavy_call_is_the_same_answer_in_slices():
    async def run() -> tuple[list[bytes], int]:
        made = predictor()
        made.recommender.open.set()
        found = await made.recommend_many([], pack(HEAVY), fetched(len(HEAVY)))
        return found, made.recommender.heavy

    found, slices = asyncio.run(run())
    expected = Recommender(Catalogue(shared_snapshot())).recommend_many(HEAVY, [UserState()] * len(HEAVY))

    assert slices > 1
    assert [msgspec.json.decode(each)["items"] for each in found] == [
        msgspec.json.decode(msgspec.json.encode(each))["items"] for each in expected
    ]


def test_who_has_gone_is_not_worked_for_any_longer():
    async def run() -> int:
        made = predictor()
        heavy = asyncio.create_task(made.recommend_many([], pack(HEAVY), fetched(len(HEAVY))))
        await asyncio.to_thread(made.recommender.begun.wait, 30)
        heavy.cancel()
        made.recommender.open.set()
        await asyncio.gather(heavy, return_exceptions=True)
        return made.recommender.heavy

    assert asyncio.run(run()) == 1


def test_a_request_that_waits_for_too_many_changes_says_so_and_the_next_one_has_them():
    async def run() -> tuple[dict, dict, dict]:
        made = predictor(wait_s=0.05)
        await made.store.put_items([Item("new", None, item_features("i4"), True, 0.0)])
        async with made._answerer._heavy.idle:
            late = await light(made, 1)
        made._answerer._catalogue_wait_s = 30.0
        return late, await light(made, 1), await light(made)

    late, reached, after = asyncio.run(run())

    assert late["degraded"] == ["catalogue"]
    assert len(late["items"]) == 5
    assert reached["degraded"] == after["degraded"] == []


def test_a_predictor_knows_which_items_may_be_returned():
    async def run() -> list[bool]:
        made = predictor()
        await made.store.put_items([Item("new", None, item_features("i4"), True, 0.0)])
        await made.store.put_items([Item("i2", None, item_features("i2"), False, 0.0)])
        return [await made.returns_item([], item_id, fetched(0, 2)) for item_id in ("i1", "new", "i2", "nowhere")]

    assert asyncio.run(run()) == [True, True, False, False]
