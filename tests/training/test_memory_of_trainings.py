"""What takes the most memory of a training begins without the parts of the interactions that were needed before it."""

from __future__ import annotations

import gc

import pandas as pd
import pytest

from recommender.datasets import open_dataset
from recommender.training import epoch_choice, full
from recommender.training.from_dataset import training_data
from recommender.training.full import TrainingData, train_full
from recommender.training.model_settings import ModelSettings


@pytest.fixture
def data() -> TrainingData:
    made = training_data(open_dataset("synthetic?n_users=150&n_items=60&n_interactions_per_user=20"))
    return TrainingData(made.interactions.assign(offset=0), made.users, made.catalogue)


def large_frames(n_rows: int) -> int:
    gc.collect()
    return sum(isinstance(each, pd.DataFrame) and len(each) > n_rows for each in gc.get_objects())


@pytest.mark.parametrize("heavy", ["learn_choices", "fit_history_parts"])
def test_beside_all_interactions_only_those_that_are_learned_from_are_in_memory(data, monkeypatch, heavy):
    n_rows, seen, called = len(data.interactions) // 2, [], getattr(full, heavy)

    def watched(*args, **kwargs):
        seen.append(large_frames(n_rows))
        return called(*args, **kwargs)

    monkeypatch.setattr(full, heavy, watched)
    monkeypatch.setattr(epoch_choice, "FEWEST_INTERACTIONS", 100)
    monkeypatch.setattr(full, "_is_quick", lambda _: False)  # so that early stopping holds some out once more
    before = large_frames(n_rows)
    settings = ModelSettings(no_components=8, epochs=2, min_steps=0)
    train_full(data, settings, meta={"log_offset": 0, "items_sequence": 0})

    assert seen
    assert max(seen) == before + 1
