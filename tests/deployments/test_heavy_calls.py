"""What the ingress asks of predictors for a call that is heavy, and for one that is light."""

import asyncio

import pytest

from deployments import handle_calls
from deployments.http.service import Service
from deployments.messages import unpack_queries
from deployments.stages import routing
from deployments.telemetry import metrics
from recommender.schema import Query, RankQuery
from recommender.serving import request_cost

ANSWER = b'{"model_version": "1", "items": [{"item_id": "a"}]}'


class Handle:
    """A deployment whose methods answer after some seconds."""

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s
        self.asked: list[int] = []
        self.at_once = self.most_at_once = 0

    def method(self, answers) -> "Handle":
        other = self

        class Method:
            async def remote(self, _ids, *arguments):
                other.at_once += 1
                other.most_at_once = max(other.most_at_once, other.at_once)
                found = answers(*arguments)
                other.asked.append(len(found))
                try:
                    await asyncio.sleep(other.after_s)
                finally:
                    other.at_once -= 1
                return found

        return Method()

    @property
    def recommend_many(self):
        return self.method(lambda queries, _: [ANSWER] * len(unpack_queries(queries)))

    @property
    def answer(self):
        return self.method(lambda *_: b"{}")

    @property
    def fetch_many(self):
        return self.method(lambda user_ids: b"." * len(user_ids))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(handle_calls, "PATIENCE_S", 0.02)
    monkeypatch.setattr(metrics, "count", lambda *_, **__: None)


def asked(ask, after_s: float = 0.1) -> tuple[object, Handle]:
    async def run() -> tuple[object, Handle]:
        predictor = Handle(after_s)
        return await ask(Service(Handle(0), predictor, None, None, None)), predictor

    return asyncio.run(run())


HEAVY = [Query(user_id=f"u{number}", k=1000, explain=True) for number in range(256)]


def test_a_heavy_call_is_asked_for_in_parts_few_at_a_time_and_never_twice():
    answers, predictor = asked(lambda service: service.recommend_many(HEAVY), 0.05)

    assert answers == [ANSWER] * 256
    assert sum(predictor.asked) == 256
    assert len(predictor.asked) > 10
    assert predictor.most_at_once <= routing.HEAVY_AT_ONCE
    assert max(predictor.asked) * request_cost.cost_ms(HEAVY[0]) <= routing.PART_MS


def test_a_second_heavy_call_does_not_wait_for_all_of_the_first():
    async def ask(service: Service) -> list[str]:
        ended: list[str] = []

        async def one(name: str, queries: list[Query]) -> None:
            await service.recommend_many(queries)
            ended.append(name)

        await asyncio.gather(one("long", HEAVY), one("short", HEAVY[:20]))
        return ended

    ended, _ = asked(ask, 0.005)

    assert ended == ["short", "long"]


def test_a_light_call_goes_to_another_replica_when_one_is_silent():
    _, predictor = asked(lambda service: service.recommend_many([Query(user_id="u")]))

    assert len(predictor.asked) == handle_calls.MAX_ATTEMPTS


def test_a_long_ranking_is_asked_for_once():
    ten_thousand = RankQuery(items=tuple((str(number), None) for number in range(10_000)))
    _, predictor = asked(lambda service: service.ask(ten_thousand))

    assert len(predictor.asked) == 1


def test_a_heavy_request_does_not_share_a_micro_batch_with_light_ones():
    async def ask(service: Service) -> list[bytes]:
        return await asyncio.gather(
            service.recommend(Query(k=1000, explain=True, diversity=0.5)), *(service.recommend(Query()) for _ in "abc")
        )

    _, predictor = asked(ask, 0.001)

    assert sorted(predictor.asked) == [1, 3]


def test_an_answer_is_an_exposure_and_reading_it_waits(monkeypatch):
    monkeypatch.setattr(metrics, "count", lambda *_, **__: None)
    kept: list[bytes] = []

    async def ask(service: Service) -> object:
        monkeypatch.setattr(service.exposures, "record", lambda answers, _: kept.extend(answers))
        await service.recommend(Query(user_id="u"))
        return await service.recommend_many([Query(user_id="v"), Query()])

    asked(ask, 0.001)

    assert kept == [ANSWER] * 3
