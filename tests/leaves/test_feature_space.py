"""FeatureSpace: the same columns in training and in serving, for ever."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender import feature_space
from recommender.errors import InvalidDataError
from recommender.feature_space import FeatureSpace, tokens

finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.text("ab=\\[,) 0", min_size=1, max_size=4)
categories = st.text("ab=\\[,) 0", max_size=4) | st.booleans() | st.lists(st.text("ab=", max_size=3), max_size=3)
values = categories | st.integers(-5, 5) | finite
records = st.lists(st.dictionaries(names, values, max_size=4), max_size=8)

RECORDS = [{"age": n, "genres": ["a", "b"] if n % 2 else ["a"], "vip": n > 5, "kind": f"k{n % 3}"} for n in range(20)]


def space_of(*known, normalise: bool = False) -> FeatureSpace:
    return FeatureSpace.empty(normalise=normalise).extended(known)


def labels(space: FeatureSpace, feature_space) -> list[str]:
    return space.names.ids_of(space.encode(feature_space).columns)


def test_every_value_falls_into_its_column():
    space = space_of(*RECORDS)
    found = labels(space, {"age": 3, "genres": ["b", "a"], "vip": True, "kind": "k1"})

    assert {"genres=a", "genres=b", "vip=true", "kind=k1"} < set(found)
    assert len(found) == 5


def test_a_number_and_a_category_of_one_name_live_together():
    space = space_of({"age": 20}, {"age": "secret"}, {"age": True}, {"age": ["old", "wise"]})

    assert labels(space, {"age": "secret"}) == ["age=secret"]
    assert labels(space, {"age": True}) == ["age=true"]
    assert labels(space, {"age": ["wise", "old"]}) == ["age=old", "age=wise"]
    assert labels(space, {"age": 99}) == ["age (-∞, ∞)"]


def test_a_boolean_is_no_number():
    assert labels(space_of({"x": True}, {"x": False}), {"x": False}) == ["x=false"]
    assert space_of({"x": True}).encode({"x": 1}).ignored == ["x"]


def test_a_repeated_category_counts_once():
    assert space_of({"x": ["a"]}).encode({"x": ["a", "a"]}).weights.tolist() == [1.0]


@given(records)
def test_weights_are_one_or_add_up_to_one(known):
    plain, normalised = space_of(*known), space_of(*known, normalise=True)
    for record in known:
        weights = normalised.encode(record).weights

        assert set(plain.encode(record).weights.tolist()) <= {1.0}
        assert weights.sum() == (pytest.approx(1) if len(weights) else 0)


@given(records)
def test_what_was_learned_is_found_and_nothing_of_it_ignored(known):
    space = space_of(*known)

    assert all(space.encode(record).ignored == [] for record in known)


@given(records)
def test_no_column_is_empty(known):
    space = space_of(*known)
    used = {column for record in known for column in space.encode(record).columns.tolist()}

    assert used == set(range(len(space)))


@given(records)
def test_a_matrix_is_its_records_one_by_one(known):
    space = space_of(*known, normalise=True)
    matrix = space.encode_many(known)

    assert matrix.shape == (len(known), len(space))
    for row, record in zip(matrix, known, strict=True):
        assert row.indices.tolist() == space.encode(record).columns.tolist()
        assert row.data.tolist() == space.encode(record).weights.tolist()


@given(records, records)
def test_growing_never_renumbers_nor_moves_a_bucket(known, more):
    space = space_of(*known)
    grown = space.extended(more)

    assert list(grown.names)[: len(space)] == list(space.names)
    for record in known:
        assert grown.encode(record).columns.tolist() == space.encode(record).columns.tolist()
    for record in more:
        assert grown.encode(record).ignored == []


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abcdef"), unique=True))
def test_what_was_not_learned_counts_for_nothing_and_is_named(known, asked):
    space = space_of({"x": known})
    encoded = space.encode({"x": asked})

    assert set(space.names.ids_of(encoded.columns)) == {f"x={each}" for each in asked if each in known}
    assert encoded.ignored == [f"x={each}" for each in asked if each not in known]


def test_unknown_names_categories_and_numbers_are_all_named():
    encoded = space_of(*RECORDS).encode({"genres": ["a", "zz"], "shoe": 44, "colour": "red", "new": True})

    assert encoded.ignored == ["genres=zz", "shoe", "colour=red", "new=true"]


def test_an_empty_record_and_an_empty_list_say_nothing():
    space = space_of(*RECORDS, normalise=True)

    for record in ({}, {"genres": []}):
        encoded = space.encode(record)
        assert (encoded.columns.size, encoded.weights.size, encoded.ignored) == (0, 0, [])


@given(st.lists(finite, min_size=1, max_size=40), finite)
def test_any_number_inside_or_outside_of_what_was_seen_falls_into_one_bucket(known, number):
    space = space_of(*({"x": value} for value in known))
    encoded = space.encode({"x": number})

    assert len(encoded.columns) == 1
    assert encoded.ignored == []
    assert len(space) <= 10


@given(st.lists(finite, min_size=1, max_size=40))
def test_buckets_keep_the_order_of_numbers(known):
    space = space_of(*({"x": value} for value in known))
    columns = [int(space.encode({"x": value}).columns[0]) for value in sorted([-1e300, *known, 1e300])]

    assert columns == sorted(columns)


@pytest.mark.parametrize("start", [0, 1_000_000, 1_700_000_000, -5, 0.1])
def test_a_tenth_of_the_numbers_falls_into_each_bucket_however_long_they_are(start):
    space = space_of(*({"x": start + value} for value in range(100)))
    columns = [int(space.encode({"x": start + value}).columns[0]) for value in range(100)]

    assert len(space) == 10
    assert np.bincount(columns).tolist() == pytest.approx([10] * 10, abs=1)


def test_one_number_again_and_again_is_one_bucket():
    assert len(space_of(*({"x": 5} for _ in range(20)))) == 1


def test_buckets_are_labelled_by_their_bounds():
    space = space_of(*({"age": value} for value in (10, 10, 10, 10, 10, 20, 20, 20, 20, 20.5)))

    assert list(space.names) == ["age (-∞, 20)", "age [20, ∞)"]


def test_an_equals_sign_in_a_name_does_not_make_two_features_one():
    space = space_of({"a=b": "c"})

    assert space.encode({"a": "b=c"}).columns.size == 0
    assert space.encode({"a=b": "c"}).columns.size == 1


@given(st.tuples(names, st.text("ab=\\", max_size=4)), st.tuples(names, st.text("ab=\\", max_size=4)))
def test_two_features_share_a_column_only_if_they_are_one(one, other):
    space = space_of(dict([one]))

    assert bool(space.encode(dict([other])).columns.size) == (one == other and one[1] != "")


@pytest.mark.parametrize(
    ("learned", "asked"),
    [
        ({"genres": "a"}, {"genres=a": 5}),
        ({"age": 20}, {"age (-∞, ∞)": 5}),
        ({"a\\=b": 1}, {"a\\": "b (-∞, ∞)"}),
        ({"a=b": 1}, {"a": "b (-∞, ∞)"}),
        ({"a": "b (-∞, ∞)"}, {"a=b": 1}),
    ],
)
def test_a_name_that_looks_like_a_label_is_not_taken_for_one(learned, asked):
    assert space_of(learned).encode(asked).columns.size == 0


@pytest.mark.parametrize("number", [float("inf"), -float("inf"), 10**400])
def test_a_number_that_is_not_finite_is_refused(number):
    with pytest.raises(InvalidDataError, match="'x'"):
        space_of({"x": number})
    for space in (space_of({"x": 1}), space_of({"y": 1})):
        with pytest.raises(InvalidDataError, match="'x'"):
            space.encode({"x": number})


@given(records, st.booleans())
def test_a_space_comes_back_from_its_arrays_and_meta(known, normalise):
    space = space_of(*known, normalise=normalise)
    restored = FeatureSpace.from_arrays(space.to_arrays(), space.to_meta())
    for record in known:
        mine, theirs = space.encode(record), restored.encode(record)

        assert mine.columns.tolist() == theirs.columns.tolist()
        assert mine.weights.tolist() == theirs.weights.tolist()


def test_tokens_write_values_as_a_filter_does():
    features = {"genres": ["Sci-Fi", "War"], "year": 1995, "rating": 4.0, "price": 4.5, "vip": True}

    assert tokens(features) == ["genres:Sci-Fi", "genres:War", "year:1995", "rating:4", "price:4.5", "vip:true"]


def test_long_labels_that_somebody_makes_up_are_not_kept():
    space = FeatureSpace.empty().extended([{"genres": ["a", "b"]}])
    for number in range(40):
        space.encode({"x": str(number) * 500_000})
    for number in range(50_000):
        space.encode({"x": str(number)})

    kept = sum(sys.getsizeof(label) for label in space._columns)
    assert kept < feature_space.LABEL_BYTES
    assert space.encode({"genres": "b"}).columns.tolist() == [1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), values, max_size=3), max_size=6), st.booleans())
def test_records_are_encoded_together_as_alone(records, normalise):
    space = FeatureSpace.empty(normalise=normalise).extended(records[::2])

    for together, record in zip(space.encode_each(records), records, strict=True):
        alone = space.encode(record)
        assert together.columns.tolist() == alone.columns.tolist()
        assert together.weights.tolist() == alone.weights.tolist()
        assert together.ignored == alone.ignored


def test_what_a_single_record_has_makes_only_so_many_columns_and_what_two_have_all():
    records = [{"tags": [f"t{number}" for number in range(5_000)], "n": 1.0}]
    records += [{"id": str(number), "kind": "same", "both": f"b{number // 2}"} for number in range(1_000)]
    space = FeatureSpace.empty(rare=100).extended(records)

    assert len(space) == 100 + 1 + 500
    assert space.rare == 0
    assert space.encode(records[0]).columns.tolist() == list(range(100))
    assert "n" in space.encode(records[0]).ignored
    assert len(space.encode({"kind": "same", "both": "b499"}).columns) == 2


def test_growing_again_and_again_makes_no_more_rare_columns_than_once():
    space = FeatureSpace.empty(rare=100)
    for number in range(300):
        space = FeatureSpace.from_arrays(space.to_arrays(), space.to_meta()).extended([{"id": str(number)}])

    assert len(space) == 100
    assert space.encode({"id": "99"}).columns.tolist() == [99]
    assert len(space.extended([{"id": "a"}, {"id": "a"}])) == 101


def test_small_data_keeps_every_column():
    assert len(FeatureSpace.empty().extended([{"id": str(number)} for number in range(9_999)])) == 9_999
