"""History weights: how much a history counts, and how it travels with a snapshot."""

import json
from dataclasses import replace

import numpy as np
import pytest

from recommender.serving.history_weights import MAX_HISTORY_ROWS, HistoryWeights
from recommender.serving.snapshot import Rows, Snapshot
from tests.support.known_worlds import shared_snapshot

WEIGHTS = HistoryWeights(12.0, [1, 5, 50], [0.5, 1.0, 2.0], [0.0, 0.25, 0.125], n_low_pass=2)


@pytest.mark.parametrize(
    ("n", "expected"), [(0, (0, 0)), (1, (0.5, 0)), (5, (1, 0.25)), (49, (1, 0.25)), (50, (2, 0.125))]
)
def test_the_length_of_a_history_decides_how_much_it_counts(n, expected):
    assert WEIGHTS.of_length(n) == expected


def test_an_interaction_that_is_a_half_life_older_counts_half():
    recency = WEIGHTS.recency(25)

    assert recency[-1] == 1
    assert recency[[12, 0]] == pytest.approx([0.5, 0.25])
    assert (HistoryWeights(None, [1], [1.0], [0.0]).recency(3) == 1).all()


def test_what_counts_nothing_measurable_is_not_used():
    assert WEIGHTS.n_used == 72
    assert HistoryWeights(1000.0, [1], [1.0], [0.0]).n_used == MAX_HISTORY_ROWS


def test_weights_travel_as_json():
    assert HistoryWeights.from_meta(json.loads(json.dumps(WEIGHTS.to_meta()))) == WEIGHTS


def test_a_snapshot_carries_its_history_parts_and_one_without_them_has_none():
    plain = shared_snapshot()
    rows = Rows(np.array([0, 1, 2], np.int64), np.array([1, 0], np.int32), np.array([0.5, -1], np.float32))
    snapshot = replace(plain, item_item=rows, low_pass_scale=np.ones(2, np.float32), history=WEIGHTS)

    again = Snapshot.from_arrays(snapshot.to_arrays(), json.loads(json.dumps(snapshot.to_meta())))
    before = Snapshot.from_arrays(plain.to_arrays(), plain.to_meta())

    assert again.history == WEIGHTS
    assert np.array_equal(again.item_item.weights, rows.weights)
    assert np.array_equal(again.low_pass_scale, [1, 1])
    assert before.history is None
    assert len(before.item_item.indices) == 0
    assert "history" not in replace(again, history=None).to_meta()
