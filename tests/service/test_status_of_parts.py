"""What a status makes of the answers of its parts."""

import time

from deployments.service import _status
from recommender.errors import StoreUnavailableError
from recommender.stores.base import LogState, StoreHealth

STORE = StoreHealth("valkey", "9", 0.1, [])


def test_a_clock_that_was_set_back_makes_nothing_younger_than_now():
    active = {"version": "1", "log_offset": 5, "newest_timestamp": time.time() + 30 * 86_400}
    status = _status(active, [], {}, LogState(1, 5, 5), STORE)

    assert status["seconds_since_newest_learned"] == 0


def test_each_part_says_how_it_does_and_one_that_does_not_answer_is_down():
    trainer = {"health": "degraded: half of the log is poison"}
    status = _status({}, TimeoutError(), trainer, StoreUnavailableError("away"), StoreUnavailableError("away"))

    assert status["health"] == {
        "model_store": "ok",
        "predictors": "down",
        "trainer": "degraded: half of the log is poison",
        "store": "down: away",
    }
    assert status["interactions_waiting"] is None
