"""What a status makes of the answers of its parts."""

import time

import pytest

from deployments.http.service import _not_everywhere, _status, _unconfirmed
from recommender.errors import StoreUnavailableError
from recommender.stores.protocols import LogState, StoreHealth

SERVES = {"replica": "a", "model_version": "2"}
STORE = StoreHealth("valkey", "9", 0.1, [])


def test_a_clock_that_was_set_back_makes_nothing_younger_than_now():
    active = {"version": "1", "log_offset": 5, "newest_timestamp": time.time() + 30 * 86_400}
    status = _status(active, [], [], {}, LogState(1, 5, 5), STORE)

    assert status["seconds_since_newest_learned"] == 0


def test_each_part_says_how_it_does_and_one_that_does_not_answer_is_down():
    trainer = {"health": "degraded: half of the log is poison", "exposures": "degraded: the disk is full"}
    away = StoreUnavailableError("away")
    status = _status({}, TimeoutError(), [SERVES, SERVES], trainer, away, away)

    assert status["health"] == {
        "model_store": "ok",
        "predictors": "down",
        "feature_fetchers": "ok",
        "trainer": "degraded: half of the log is poison",
        "exposures": "degraded: the disk is full",
        "store": "down: away",
    }
    assert status["interactions_waiting"] is None


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([SERVES, SERVES], "ok"),
        ([SERVES, TimeoutError()], "degraded: 1 of 2 do not answer"),
        ([TimeoutError(), TimeoutError()], "down: none of 2 answers"),
        ([], "down: there is none"),
    ],
)
def test_a_part_is_as_well_as_its_replicas_that_answer(answers, expected):
    status = _status({}, answers, answers, {}, LogState(1, 5, 5), STORE)

    assert status["health"]["predictors"] == status["health"]["feature_fetchers"] == expected
    assert status["replicas"] == [each for each in answers if each == SERVES]


def test_a_model_store_without_a_model_is_not_well():
    assert _status(None, [], [], {}, LogState(1, 0, 0), STORE)["health"]["model_store"].startswith("down")


def test_a_version_is_active_when_every_replica_has_confirmed_it_and_the_answer_says_which_has_not():
    answers = [SERVES, {"replica": "b", "model_version": "1"}, TimeoutError()]
    missing = _unconfirmed(answers, "2")

    assert missing == answers[1:]
    assert _unconfirmed([SERVES], "2") == []
    said = _not_everywhere("2", answers, missing)
    assert "1 of 3 replicas confirm it (b serves 1; 1 did not answer)" in said
