"""Categories get a row of the model where enough interactions speak of them, and few enough at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deployments.args import AppArgs
from recommender.dense_vectors.packing import length_of
from recommender.feature_space import FeatureSpace
from recommender.training.admission import FeatureAdmission, admit
from recommender.training.full import TrainingData, fit
from recommender.training.model_settings import ModelSettings
from recommender.training.snapshot_builder import CatalogueEntry

RECORDS = [
    {"tags": ["common", "rare"], "age": 3, "new": True},
    {"tags": ["common", "often"], "name": "often too", "text": [0.5, 0.25]},
    {"tags": ["often"], "name": "often too"},
]
INTERACTIONS = np.array([1, 5, 6])


def learned(how: FeatureAdmission, known: tuple[str, ...] = ()) -> set[str]:
    space = FeatureSpace.empty().extended(admit(RECORDS, INTERACTIONS, how, known))
    return {label for label in space.names if "[" not in label and "∞" not in label}


def test_without_settings_every_record_is_as_it_was():
    assert admit(RECORDS, INTERACTIONS, FeatureAdmission(), ()) is RECORDS


@pytest.mark.parametrize(
    ("how", "labels"),
    [
        (FeatureAdmission(2), {"tags=common", "tags=often", "name=often too"}),
        (FeatureAdmission(7), {"tags=often", "name=often too"}),
        (FeatureAdmission(100), set()),
        (FeatureAdmission(1, 1), {"tags=common", "tags=often"}),
        (FeatureAdmission(7, 1), {"tags=often"}),
        (FeatureAdmission(1, 2), {"tags=common", "tags=rare", "tags=often", "name=often too"}),
    ],
)
def test_categories_are_learned_by_the_interactions_of_who_has_them(how, labels):
    assert learned(how) == labels


def test_what_has_a_row_keeps_it():
    assert learned(FeatureAdmission(100), ("tags=rare",)) == {"tags=rare"}
    assert learned(FeatureAdmission(100, 1), ("tags=rare", "new=true")) == {"tags=rare", "new=true"}


def test_numbers_and_dense_vectors_need_no_interactions():
    admitted = admit(RECORDS, INTERACTIONS, FeatureAdmission(100, 1), ())

    assert admitted[0]["age"] == 3
    assert length_of(admitted[1]["text"]) == 2


def test_a_model_has_rows_for_what_is_admitted_and_items_are_encoded_by_these():
    rows = [(f"u{user}", f"i{item}") for user in range(9) for item in range(4) if item != 3 or user == 0]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(weight=1.0, timestamp=0.0, event=None)
    entries = [CatalogueEntry(f"i{item}", {"tags": ["all", f"own{item}"]}) for item in range(5)]
    settings = ModelSettings(no_components=4, epochs=2, admission=FeatureAdmission(2))
    _, snapshot = fit(TrainingData(frame, {}, entries), settings, {"log_offset": 0, "items_sequence": 0})

    assert set(snapshot.item_space.names) == {"tags=all", "tags=own0", "tags=own1", "tags=own2"}
    assert "i4" in snapshot.item_ids
    assert snapshot.item_space.encode({"tags": ["all", "own3"]}).ignored == ["tags=own3"]


def test_the_configuration_sets_both_trainings():
    args = AppArgs.model_validate({"training": {"admission": {"min_interactions": 5, "max_columns": 50}}})

    assert args.settings().admission == args.increment().admission == FeatureAdmission(5, 50)
    with pytest.raises(ValueError, match="max_columns"):
        AppArgs.model_validate({"training": {"admission": {"max_columns": 0}}})
