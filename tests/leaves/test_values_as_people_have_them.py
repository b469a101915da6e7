"""Ids and features as notebooks have them: numpy's scalars, whole floats, UUIDs, tuples, None, one item for a list."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from recommender.errors import InvalidDataError, MissingFeaturesError
from recommender.feature_space import FeatureSpace, tokens
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.sparse_frame import SparseFrame

SOMEONE = UUID("12345678-1234-5678-1234-567812345678")


def labels(space: FeatureSpace, features) -> list[str]:
    return space.names.ids_of(space.encode(features).columns)


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint16, np.float32, np.float64, Decimal, float])
def test_numbers_of_every_kind_are_numbers(kind):
    space = FeatureSpace.empty().extended([{"age": kind(age)} for age in (24, 30, 41)])

    assert len(space) == 3
    assert space.encode({"age": 25}).ignored == []
    assert labels(space, {"age": 25}) == labels(space, {"age": kind(25)}) == ["age (-∞, 30)"]


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT, "", "  "])
def test_what_is_missing_says_nothing_and_is_no_category(missing):
    space = FeatureSpace.empty().extended([{"age": missing}, {"age": 24}])

    assert list(space.names) == ["age (-∞, ∞)"]
    assert space.encode({"age": missing}).ignored == []
    assert space.encode_many([{"age": missing}]).nnz == 0
    assert tokens({"age": missing}) == []


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (("a", "b"), ["a", "b"]),
        ({"a", "b"}, ["a", "b"]),
        (frozenset({"b"}), ["b"]),
        (np.array(["a", "b"]), ["a", "b"]),
        ([np.str_("a")], ["a"]),
        ("  a ", "a"),
        ("e\u0301", "\u00e9"),
        (date(2026, 11, 25), "2026-11-25"),
        (np.datetime64("2026-11-25T10:00:00.000000000"), "2026-11-25T10:00:00"),
        (np.int64(1), 1),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),  # workers agree on the order
)
def test_a_value_is_the_same_in_whatever_shape_it_comes(given, plain):
    space, same = (FeatureSpace.empty().extended([{"x": value}]) for value in (given, plain))

    assert list(space.names) == list(same.names)
    assert tokens({"x": given}) == tokens({"x": plain})
    assert (space.encode_many([{"x": given}]) != same.encode_many([{"x": plain}])).nnz == 0


@pytest.mark.parametrize(
    "value", [object, b"a", {"a": 1}, [["a"]], [1.5], [None], float("inf"), np.float32("-inf")], ids=str
)
def test_what_is_no_feature_is_refused_with_its_name_and_value(value):
    for refusing in (FeatureSpace.empty().extended, FeatureSpace.empty().encode_many):
        with pytest.raises(InvalidDataError) as caught:
            refusing([{"colour": value}])

        assert "'colour'" in str(caught.value)
        assert "{}" not in str(caught.value).replace(repr(value), "")


@pytest.mark.parametrize("wrap", [list, np.array, pd.Series, tuple], ids=["list", "array", "series", "tuple"])
def test_ids_that_are_whole_numbers_become_text(wrap):
    frame = SparseFrame.from_interactions(wrap([1, 1, 2]), wrap([10.0, 20.0, 10.0]))

    assert (list(frame.rows), list(frame.columns)) == (["1", "2"], ["10", "20"])
    assert frame.matrix.toarray().tolist() == [[1, 1], [1, 0]]


def test_a_number_and_its_text_are_one_id_and_a_uuid_is_its_text():
    frame = SparseFrame.from_interactions([5, "5", SOMEONE, str(SOMEONE)], ["a"] * 4)

    assert list(frame.rows) == ["5", str(SOMEONE)]
    assert frame.matrix.toarray().tolist() == [[2], [2]]
    assert list(SparseFrame([SOMEONE, 7], [np.int64(1)], np.ones((2, 1))).rows) == [str(SOMEONE), "7"]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA], ids=str)
def test_a_missing_id_is_named_with_its_row(missing):
    for ids in (["a", missing], pd.Series(["a", missing], dtype=object)):
        with pytest.raises(InvalidDataError, match=r"row 1 is missing"):
            SparseFrame.from_interactions(ids, ["x", "y"])
        with pytest.raises(InvalidDataError, match=r"row 1 is missing"):
            SparseFrame.from_interactions(["x", "y"], ids)


@pytest.mark.parametrize("bad", [1.5, True, ("a",), 2.0**60])
def test_what_cannot_be_an_id_is_named_with_its_row(bad):
    with pytest.raises(InvalidDataError, match="row 1"):
        SparseFrame.from_interactions(["a", bad], ["x", "y"])


@pytest.fixture(scope="module")
def model() -> LFMRecommender:
    pairs = SparseFrame.from_interactions(["1", "1", "2"], ["tea", "7", "tea"])
    return LFMRecommender(no_components=4, random_state=0).fit(pairs, epochs=2)


def test_ids_of_any_kind_are_taken_where_a_user_or_items_are_asked_for(model):
    assert model.predict_online(1, ["tea", 7]).to_dict() == model.predict_online("1", ["tea", "7"]).to_dict()
    assert model.predict_online(np.int64(1), [7.0]).to_dict() == model.predict_online("1", ["7"]).to_dict()
    assert model.baseline([7]).to_dict() == model.baseline(["7"]).to_dict()


def test_a_single_item_is_one_item_and_not_its_letters(model):
    for alone in ("tea", 7):
        one = model.predict_online("1", alone)

        assert list(one.index) == [str(alone)]
        assert one.attrs["unscored"] == {}
    assert list(model.baseline("tea").index) == ["tea"]
    assert model.forget_users("1").predict_online("1").index.size == 2


def test_a_user_that_is_missing_is_said_to_be(model):
    with pytest.raises(InvalidDataError, match="missing"):
        model.predict_online(None)
    with pytest.raises(InvalidDataError, match="row 1"):
        model.predict_online("1", ["tea", None])


def test_rows_without_features_are_counted_and_named_where_there_are_no_indicators():
    users, items = [f"u{n}" for n in range(6)], ["a", "b"]
    pairs = SparseFrame(users, items, np.ones((6, 2)))
    some = SparseFrame(users[:1], ["binge"], np.ones((1, 1)))
    worthy = SparseFrame(items, ["worthy"], np.eye(2, 1))

    with pytest.raises(MissingFeaturesError, match=r"5 of 12 interactions.*5 users \('u1', 'u2', 'u3', …\) and 1 item"):
        LFMRecommender(indicators=False, no_components=4).fit(pairs, some, worthy)


def test_a_row_without_features_is_fine_where_the_other_side_has_some():
    pairs = SparseFrame(["u", "v"], ["a", "b"], np.ones((2, 2)))
    one, both = SparseFrame(["u"], ["x"], np.ones((1, 1))), SparseFrame(["a", "b"], ["y", "z"], np.eye(2))

    model = LFMRecommender(indicators=False, no_components=4).fit(pairs, one, both)

    assert model.predict_online("u", ["a"], both, one).size == 1
