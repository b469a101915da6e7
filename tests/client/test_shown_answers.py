"""A client says by itself which answer led to an interaction."""

import asyncio

import msgspec

from lightfm_serve import AsyncClient, Client
from lightfm_serve.client import shown_answers
from lightfm_serve.client.responses import RecommendationResults, Recommendations, ScoredItem
from lightfm_serve.client.shown_answers import ShownAnswers
from tests.support.scripted_server import Reply, with_request_ids


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def answer(name: str, user_id: str | None, *item_ids: str) -> Recommendations:
    return Recommendations(user_id, "features", "II", [ScoredItem(each, 1.0, "II") for each in item_ids], "1", name)


def named(shown: ShownAnswers, *interactions: dict) -> list[str | None]:
    body = msgspec.json.encode({"interactions": interactions})
    return [each.get("recommendation_id") for each in msgspec.json.decode(shown.name(body))["interactions"]]


def click(user_id: str, item_id: str, **more) -> dict:
    return {"user_id": user_id, "item_id": item_id, **more}


def test_an_interaction_names_the_last_answer_to_its_user_that_had_the_item():
    shown = ShownAnswers()
    shown.remember(answer("1", "u", "a", "b"))
    shown.remember(RecommendationResults([answer("2", "u", "b"), answer("3", "v", "a"), answer("4", None, "a")]))

    asked = [click("u", "a"), click("u", "b"), click("v", "a"), click("u", "z"), click("w", "a")]
    assert named(shown, *asked) == ["1", "2", "3", None, None]


def test_one_that_names_an_answer_stays_as_it_is():
    shown = ShownAnswers()
    shown.remember(answer("1", "u", "a"))

    assert named(shown, click("u", "a", recommendation_id="other")) == ["other"]


def test_what_was_never_recommended_here_is_not_even_read():
    body = b"not read"

    assert ShownAnswers().name(body) is body


def test_answers_are_forgotten_after_half_an_hour_and_when_they_are_many(monkeypatch):
    clock = Clock()
    shown = ShownAnswers(clock)
    shown.remember(answer("1", "u", "a"))
    clock.now = shown_answers.KEPT_S + 1
    assert named(shown, click("u", "a")) == [None]

    monkeypatch.setattr(shown_answers, "MOST_ANSWERS", 2)
    for number in range(5):
        shown.remember(answer(f"n{number}", f"u{number}", "a"))

    assert named(shown, click("u2", "a"), click("u4", "a")) == [None, "n4"]
    assert len(shown._by_user) == 2


def served(asked) -> Reply:
    if asked.path == "/v1/interactions":
        return Reply(202, {"accepted": 1, "duplicates": 0})
    return Reply(200, msgspec.to_builtins(answer("answer-1", "u", "a")))


async def with_asyncio(url: str) -> None:
    async with AsyncClient(url) as client:
        await client.recommend("u")
        await client.add_interactions([click("u", "a"), click("u", "z")])


def test_both_clients_name_the_answer_that_led_to_an_interaction():
    with with_request_ids(served) as talk:
        with Client(talk.url) as client:
            client.recommend("u")
            client.add_interactions([click("u", "a"), click("u", "z")])
        asyncio.run(with_asyncio(talk.url))
        sent = talk.of("/v1/interactions")

    names = [[each.get("recommendation_id") for each in body["interactions"]] for body in sent]
    assert names == [["answer-1", None]] * 2
