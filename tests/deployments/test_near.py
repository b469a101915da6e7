"""Which requests are answered in the process that took them, and which go along the chain."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from deployments.stages.answering import QueryAnswerer, ScanCost
from deployments.stages.fetching import UserFetcher
from deployments.stages.near import Near
from deployments.stages.near_rule import MOST_OF_ONE_MS, MOST_UNDER_WAY_MS, NearRule
from deployments.stages.routing import QueryRouter
from deployments.telemetry import metrics
from recommender.errors import StoreError
from recommender.schema import (
    LeaderboardRequest,
    PopularRequest,
    Query,
    RankQuery,
    ReadRequest,
    SearchRequest,
    SimilarItemsRequest,
    UserState,
)
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction, Item
from tests.support.known_worlds import item_features, shared_snapshot, with_meta

LIGHT, HEAVY = Query(user_id="u3", k=5), Query(user_id="u3", k=1000, explain=True, diversity=0.5)


@pytest.fixture(autouse=True)
def _uncounted(monkeypatch):
    monkeypatch.setattr(metrics, "count", lambda *_, **__: None)
    monkeypatch.setattr(metrics, "show", lambda *_, **__: None)


class AlongTheChain:
    """The other way, which says of everything that it came along."""

    answered = 0

    async def recommend_many(self, queries, **_) -> list[bytes]:
        self.answered += len(queries)
        return [b"chain"] * len(queries)

    async def answer(self, _request) -> bytes:
        self.answered += 1
        return b"chain"


class House:
    """A router over a near way that has a model, and a chain."""

    def __init__(self, mode="auto", *, with_model: bool = True) -> None:
        self.store, self.chain, self.rule = MemoryStore(), AlongTheChain(), NearRule(mode)
        self.answerer = QueryAnswerer(self.store)
        self.near = Near(UserFetcher(self.store), self.answerer)
        self.router = QueryRouter(self.chain, self.near, self.rule)
        if with_model:
            self.answerer.serve(Recommender(Catalogue(shared_snapshot())))


def told(story: Callable[[House], Awaitable[object]], mode="auto", *, with_model: bool = True) -> House:
    async def run() -> House:
        house = House(mode, with_model=with_model)
        await story(house)
        return house

    return asyncio.run(run())


def ways(house: House) -> tuple[int, int]:
    return house.near.answered, house.chain.answered


@pytest.mark.parametrize(
    ("mode", "queries", "expected"),
    [
        ("auto", [LIGHT], (1, 0)),
        ("auto", [HEAVY], (0, 1)),
        ("auto", [LIGHT] * 3, (3, 0)),
        ("auto", [LIGHT] * 200, (0, 200)),
        ("always", [LIGHT], (1, 0)),
        ("always", [HEAVY] * 3, (3, 0)),
        ("never", [LIGHT], (0, 1)),
    ],
)
def test_what_costs_less_than_the_way_is_answered_near_and_the_mode_has_the_last_word(mode, queries, expected):
    house = told(lambda house: house.router.answer_queries(queries), mode)

    assert ways(house) == expected
    assert house.router.status()["near"] == expected[0]


def test_a_near_answer_is_what_the_library_answers():
    found = []

    async def story(house: House) -> None:
        found.extend(await house.router.answer_queries([LIGHT]))

    told(story)

    [answer] = [msgspec.json.decode(each) for each in found]
    expected = Recommender(Catalogue(shared_snapshot())).recommend(LIGHT, UserState())
    assert answer["items"] == msgspec.json.decode(msgspec.json.encode(expected.items))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (PopularRequest(k=3), (1, 0)),
        (SimilarItemsRequest(item_id="i1"), (1, 0)),
        (RankQuery(items=(("i1", None),), user_id="u3"), (1, 0)),
        (SearchRequest(text="i"), (0, 1)),
        (LeaderboardRequest(name="trending", window_s=60), (0, 1)),
    ],
)
@pytest.mark.parametrize("mode", ["auto", "always"])
def test_read_requests_are_answered_near_unless_they_need_an_index_or_the_end_of_the_log(mode, request_, expected):
    house = told(lambda house: house.router.answer(request_), mode)

    assert ways(house) == expected


@pytest.mark.parametrize("mode", ["auto", "always"])
def test_before_a_model_is_in_this_process_everything_goes_along_the_chain(mode):
    async def story(house: House) -> None:
        await house.router.answer_queries([LIGHT])
        await house.router.answer(PopularRequest())

    assert ways(told(story, mode, with_model=False)) == (0, 2)


def test_what_is_more_than_this_process_takes_on_goes_along_the_chain():
    async def story(house: House) -> None:
        many = int(MOST_UNDER_WAY_MS / house.near.cost_ms([LIGHT]))
        answers = await asyncio.gather(*(house.router.answer_queries([LIGHT]) for _ in range(many + 10)))
        assert len(answers) == many + 10
        await house.router.answer_queries([LIGHT])

    near, chain = ways(told(story))

    assert chain >= 10
    assert near >= MOST_UNDER_WAY_MS  # at the end nothing is under way any more, and the last one is near again


def test_a_query_that_comes_alone_waits_for_nobody():
    async def story(house: House) -> None:
        loop = asyncio.get_running_loop()
        waited: list[float] = []
        later = loop.call_later
        loop.call_later = lambda delay, *each, **more: (waited.append(delay), later(delay, *each, **more))[1]
        await house.router.answer_queries([LIGHT])
        assert waited == []

    told(story)


def test_a_write_shows_in_the_next_near_answer():
    async def story(house: House) -> None:
        await house.store.append([Interaction("u3", "i1", 1.0, 0.0)])
        await house.store.put_items([Item("new", "New", item_features("i3"), True, 0.0)])
        [answer] = await house.router.answer_queries([Query(user_id="u3", k=50)])
        items = [each["item_id"] for each in msgspec.json.decode(answer)["items"]]
        assert "new" in items
        assert "i1" not in items

    told(story)


def test_a_store_that_is_away_makes_a_near_answer_a_degraded_one(monkeypatch):
    async def story(house: House) -> None:
        async def away(*_):
            raise StoreError("away")

        monkeypatch.setattr(house.store, "fetch", away)
        [answer] = await house.router.answer_queries([LIGHT])
        assert msgspec.json.decode(answer)["degraded"] == ["features"]

    told(story)


def test_the_rule_goes_by_what_was_measured_within_bounds():
    rule = NearRule("auto")
    rule.hop_ms = 2.0
    assert rule.is_near(1.9)
    assert not rule.is_near(2.1)

    rule.measured_scan(ScanCost(measured_ms=2.0, estimated_ms=1.0))
    assert rule.is_near(0.9)
    assert not rule.is_near(1.1)

    rule.measured_scan(ScanCost(measured_ms=1_000.0, estimated_ms=1.0))
    assert rule.is_near(0.19)
    assert not rule.is_near(0.21)
    assert not NearRule("always").is_near(math.inf)


def test_work_that_would_hold_up_the_whole_process_is_not_near_whatever_the_trip_took_on_a_busy_machine():
    rule = NearRule("auto")
    rule.hop_ms = 500.0

    assert rule.is_near(MOST_OF_ONE_MS)
    assert not rule.is_near(MOST_OF_ONE_MS + 0.1)


def test_scans_and_trips_are_measured_and_told():
    async def story(house: House) -> None:
        async def trip_ms() -> float:
            return 7.5

        house.chain.trip_ms = trip_ms
        measured = asyncio.Event()
        take = house.rule.measured_scan
        house.rule.measured_scan = lambda cost: (take(cost), measured.set())
        measuring = asyncio.create_task(house.router.keep_measured())
        await asyncio.wait_for(measured.wait(), 30)
        measuring.cancel()
        status = house.router.status()
        assert (status["mode"], status["hop_ms"]) == ("auto", 7.5)
        assert status["scan_ms"] > 0

    told(story)


EVERYBODYS = [PopularRequest(k=3), SimilarItemsRequest(item_id="i1", k=3)]


@pytest.mark.parametrize("request_", EVERYBODYS)
def test_what_is_the_same_for_everybody_is_worked_out_once_a_stand_of_the_catalogue(request_, monkeypatch):
    async def story(house: House) -> None:
        worked: list[ReadRequest] = []
        answer = house.answerer.answer
        monkeypatch.setattr(house.answerer, "answer", lambda *each: (worked.append(each[0]), answer(*each))[1])
        first = [await house.router.answer(request_) for _ in range(3)]
        assert len(worked) == 1
        [best] = msgspec.json.decode(first[0])["items"][:1]

        await house.store.put_items([Item(best["item_id"], None, item_features(best["item_id"]), False, 0.0)])
        second = [await house.router.answer(request_) for _ in range(3)]
        assert len(worked) == 2
        assert first[0] == first[1] == first[2] != second[0] == second[1]

        house.answerer.serve(Recommender(Catalogue(with_meta(shared_snapshot(), version="next"))))
        third = await house.router.answer(request_)
        assert msgspec.json.decode(third)["model_version"] == "next"

    told(story)


def test_of_nobody_the_same_items_are_answered_each_time_under_another_id(monkeypatch):
    async def story(house: House) -> None:
        worked: list[object] = []
        recommend_many = house.answerer.recommend_many
        monkeypatch.setattr(
            house.answerer, "recommend_many", lambda *each: (worked.append(each), recommend_many(*each))[1]
        )
        nobody = Query(k=3)
        answers = [msgspec.json.decode((await house.router.answer_queries([nobody]))[0]) for _ in range(4)]
        assert len(worked) == 1
        assert len({each.pop("recommendation_id") for each in answers}) == 4
        assert answers[0] == answers[1] == answers[2] == answers[3]

        await house.router.answer_queries([Query(k=3, recent=("i1",))])
        await house.router.answer_queries([Query(k=3, features={})])
        await house.router.answer_queries([Query(k=3, explore=0.5)])
        assert len(worked) == 4

    told(story)


def test_newcomers_are_drawn_anew_for_each_of_nobodys_answers(monkeypatch):
    async def story(house: House) -> None:
        house.answerer.serve(Recommender(Catalogue(shared_snapshot()), explore_share=0.5))
        monkeypatch.setattr(house.near, "_for_everybody", None)
        [answer] = await house.router.answer_queries([Query(k=3)])
        assert len(msgspec.json.decode(answer)["items"]) == 3

    told(story)


def test_nothing_is_kept_of_an_answer_without_the_store(monkeypatch):
    async def story(house: House) -> None:
        await house.store.put_items([Item("i1", None, item_features("i1"), True, 0.0)])
        await house.router.answer(PopularRequest())
        fetch = house.store.fetch

        async def away(*_):
            raise StoreError("away")

        monkeypatch.setattr(house.store, "fetch", away)
        [degraded] = await house.router.answer_queries([Query()])
        monkeypatch.setattr(house.store, "fetch", fetch)
        [answer] = await house.router.answer_queries([Query()])
        assert msgspec.json.decode(degraded)["degraded"] == ["features"]
        assert msgspec.json.decode(answer)["degraded"] == []

    told(story)
