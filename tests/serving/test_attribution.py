"""What users were shown, and whether they took it."""

import msgspec
import pytest

from recommender.serving import attribution
from recommender.serving.attribution import AttributedInteraction, ImpressionCache


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def answer(version: str, *item_ids: str) -> bytes:
    items = [{"item_id": item_id, "score": 1.5, "case": "I"} for item_id in item_ids]
    return msgspec.json.encode({"user_id": "u", "items": items, "model_version": version, "degraded": []})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def memory(clock):
    return ImpressionCache(clock)


def test_what_was_shown_last_is_a_hit_and_the_rest_is_none(memory):
    memory.remember("u", answer("1", "a", "b"))
    assert memory.taken("u", "b") == AttributedInteraction("1", True)
    memory.remember("u", answer("2", "c"))

    assert memory.taken("u", "c") == AttributedInteraction("2", True)
    assert memory.taken("u", "b") == AttributedInteraction("2", False)


def test_who_was_shown_nothing_took_nothing(memory):
    memory.remember(None, answer("1", "a"))
    memory.remember("u", answer("1", "a"))
    memory.forget("u")

    assert memory.taken("u", "a") is None
    assert memory.taken("other", "a") is None
    memory.forget("other")


def test_an_answer_is_forgotten_after_a_while(memory, clock):
    memory.remember("u", answer("1", "a"))
    clock.now = attribution.KEPT_S - 1
    assert memory.taken("u", "a")
    clock.now = attribution.KEPT_S + 1

    assert memory.taken("u", "a") is None


def test_memory_is_bounded_and_the_oldest_go_first(monkeypatch, clock):
    one = answer("1", "a")
    monkeypatch.setattr(attribution, "KEPT_BYTES", 3 * len(one))
    memory = ImpressionCache(clock)
    for number in range(5):
        memory.remember(f"u{number}", one)
    memory.remember("u9", answer("1", *map(str, range(100))))

    assert [memory.taken(f"u{number}", "a") for number in range(5)] == [
        None,
        None,
        *[AttributedInteraction("1", True)] * 3,
    ]
    assert memory.taken("u9", "1") is None


def test_an_answer_is_looked_into_once_however_many_interactions_come(memory, monkeypatch):
    memory.remember("u", answer("1", "a", "b"))
    memory.remember("v", answer("2", "c"))
    looked: list[str] = []
    opened = memory._opened
    monkeypatch.setattr(memory, "_opened", lambda user_id: looked.append(user_id) or opened(user_id))
    taken = list(memory.taken_by_each([("u", "a"), ("v", "a"), ("w", "a")] * 1000))

    assert taken[:3] == [AttributedInteraction("1", True), AttributedInteraction("2", False), None]
    assert looked == ["u", "v", "w"]
