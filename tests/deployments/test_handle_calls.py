"""Calls to replicas that are silent, die or are slow."""

import asyncio

import pytest
from ray.exceptions import ActorDiedError

from deployments import handle_calls


class Replicas:
    """Answers in the order in which they are asked: seconds until then, and what, or the error."""

    def __init__(self, *answers: tuple[float, object]) -> None:
        self._answers = iter(answers)
        self.asked = self.ended = 0

    async def remote(self, _: object) -> object:
        self.asked += 1
        after_s, answer = next(self._answers)
        try:
            await asyncio.sleep(after_s)
        finally:
            self.ended += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(handle_calls, "PATIENCE_S", 0.05)


def asked(replicas: Replicas) -> object:
    async def ask() -> object:
        answer = await handle_calls.call_idempotent(replicas)
        await asyncio.sleep(0)
        return answer

    return asyncio.run(ask())


def test_whoever_answers_in_time_is_the_only_one_asked():
    replicas = Replicas((0, "first"))

    assert asked(replicas) == "first"
    assert replicas.asked == 1


def test_beside_a_silent_replica_another_is_asked_and_the_silent_one_is_let_go():
    replicas = Replicas((60, "never"), (60, "the same"), (0, "third"))

    assert asked(replicas) == "third"
    assert (replicas.asked, replicas.ended) == (3, 3)


def test_no_more_than_three_are_asked_at_once():
    replicas = Replicas((60, "never"), (60, "never"), (0.3, "third"))

    assert asked(replicas) == "third"
    assert replicas.asked == 3


def test_a_slow_answer_is_taken_when_it_is_the_first():
    replicas = Replicas((0.1, "slow"), (60, "never"))

    assert asked(replicas) == "slow"


def test_another_is_asked_when_one_dies():
    replicas = Replicas((0, ActorDiedError()), (0, "second"))

    assert asked(replicas) == "second"


def test_a_long_call_waits_for_a_silent_replica_and_asks_again_when_one_dies():
    replicas = Replicas((0, ActorDiedError()), (0.2, "at last"), (0, "nobody asked"))

    assert asyncio.run(handle_calls.call_long(replicas)) == "at last"
    assert replicas.asked == 2
