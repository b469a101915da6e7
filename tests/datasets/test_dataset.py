"""A data set checks itself once and hands out plain values."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from recommender.datasets.dataset import Dataset, feature_records
from recommender.errors import InvalidDataError


def interactions(**columns):
    given = {"user_id": ["a", "b"], "item_id": ["1", "2"], "weight": [1.0, 2.0], "timestamp": [0.0, 1.0], **columns}
    return pd.DataFrame(given).astype({"weight": np.float32, "timestamp": np.float64})


def entities(ids, **columns):
    return pd.DataFrame(columns, index=pd.Index(ids, dtype=object))


NONE = entities([])


def test_a_data_set_shows_its_sizes():
    dataset = Dataset(interactions(), entities(["a"], age=[3]), NONE)

    assert repr(dataset) == "<Dataset: 2 interactions, 1 users, 0 items>"


def test_a_data_set_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Dataset(interactions(), NONE, NONE).users = NONE


@pytest.mark.parametrize("an_id", ["a", "é" * 128, "a/b c|d", "x" * 256, "\N{NO-BREAK SPACE}", "日"])
def test_ids_are_1_to_256_bytes(an_id):
    assert len(Dataset(interactions(user_id=[an_id, "b"]), entities([an_id]), NONE).users) == 1


@pytest.mark.parametrize("an_id", ["", "é" * 129, "x" * 257, "a\nb", "\x7f", "\x85", "\ud800", None, 7, float("nan")])
@pytest.mark.parametrize("side", ["user_id", "item_id", "users", "items"])
def test_what_cannot_be_an_id_is_refused_wherever_it_stands(an_id, side):
    bad = pd.Series([an_id, "é"], dtype=object)
    log = interactions(**{side: bad}) if side.endswith("_id") else interactions()
    users, items = (entities(bad) if side == name else NONE for name in ("users", "items"))

    with pytest.raises(InvalidDataError, match=r"_id '.*' (is not a string|does not have 1|has a control)"):
        Dataset(log, users, items)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_are_finite_and_above_0(weight):
    with pytest.raises(InvalidDataError, match="a weight is not a finite number above 0"):
        Dataset(interactions(weight=[1.0, weight]), NONE, NONE)


def test_timestamps_are_finite():
    with pytest.raises(InvalidDataError, match="a timestamp is not a finite number"):
        Dataset(interactions(timestamp=[1.0, float("nan")]), NONE, NONE)


@pytest.mark.parametrize("column", ["user_id", "item_id", "weight", "timestamp"])
def test_interactions_have_all_four_columns(column):
    with pytest.raises(InvalidDataError, match=f"interactions have no column '{column}'"):
        Dataset(interactions().drop(columns=column), NONE, NONE)


@pytest.mark.parametrize(("column", "dtype"), [("weight", np.float64), ("timestamp", np.int64)])
def test_numbers_have_the_agreed_type(column, dtype):
    with pytest.raises(InvalidDataError, match=f"{column} is {np.dtype(dtype)}, not float"):
        Dataset(interactions().astype({column: dtype}), NONE, NONE)


def test_nobody_is_described_twice():
    with pytest.raises(InvalidDataError, match="users have the id 'a' more than once"):
        Dataset(interactions(), entities(["a", "b", "a"]), NONE)


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        (float("inf"), "is not finite"),
        ({"a": 1}, "is neither text, boolean, number nor a list of text or of numbers"),
        (pd.Timestamp(0), "is neither text, boolean, number nor a list of text or of numbers"),
        ([1], "is a list of something else than text"),
    ],
)
def test_features_are_text_booleans_numbers_or_lists_of_text(cell, fault):
    column = pd.Series([cell, None], dtype=object).to_numpy()

    with pytest.raises(InvalidDataError, match=f"items have a value in 'x' that {fault}"):
        Dataset(interactions(), NONE, entities(["1", "2"], x=column))


def test_a_title_is_text():
    with pytest.raises(InvalidDataError, match="items have a value in 'title' that is not text"):
        Dataset(interactions(), NONE, entities(["1"], title=[1984]))


def test_feature_records_are_plain_values_without_title_and_what_is_missing():
    frame = entities(
        ["a", "b"],
        title=["A", "B"],
        whole=np.array([1, 2], np.int32),
        half=np.array([0.5, np.nan], np.float32),
        flag=np.array([True, False]),
        nullable=pd.array([7, None], dtype="Int64"),
        text=pd.array(["x", None], dtype="str"),
        kind=pd.Categorical(["k", None]),
        mixed=pd.Series([3, None], dtype=object).to_numpy(),
        tags=[["s", "t"], None],
    )
    first, second = feature_records(frame)

    assert first == (
        "a",
        {
            "whole": 1,
            "half": 0.5,
            "flag": True,
            "nullable": 7,
            "text": "x",
            "kind": "k",
            "mixed": 3,
            "tags": ["s", "t"],
        },
    )
    assert second == ("b", {"whole": 2, "flag": False})
    assert {type(value) for value in first[1].values()} == {int, float, bool, str, list}
    assert type(first[1]["flag"]) is bool


def test_without_features_there_are_records_all_the_same():
    assert list(feature_records(entities(["a"], title=["A"]))) == [("a", {})]
    assert list(feature_records(NONE)) == []
