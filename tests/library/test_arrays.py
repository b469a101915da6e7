"""Ids, frames, features, top-k, fold-in: the small parts."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recommender import errors
from recommender import ids as ids_module
from recommender.errors import InvalidDataError, RecommenderError
from recommender.features import FeatureSpace, tokens
from recommender.foldin import fold_in, learn_fold_in
from recommender.frame import SparseFrame
from recommender.ids import IdTable, TextTable
from recommender.ranking import merged_top_k, top_k

names = st.lists(st.text(min_size=1, max_size=5), max_size=30)


@given(names, names)
def test_an_id_keeps_its_index_while_others_join(first, second):
    table = IdTable.from_ids(first)
    grown = table.extended(second)
    expected = list(dict.fromkeys([*first, *second]))

    assert list(grown) == expected
    assert grown.indices_of(expected).tolist() == list(range(len(expected)))
    assert [grown.index_of(an_id) for an_id in expected] == list(range(len(expected)))
    assert list(table) == list(dict.fromkeys(first))


def test_an_unknown_id_has_no_index():
    table = IdTable.from_ids(["a", "b"])

    assert table.index_of("c") == -1
    assert table.indices_of(["b", "c", "a", "b"]).tolist() == [1, -1, 0, 1]
    assert IdTable.from_ids().indices_of(["a"]).tolist() == [-1]
    assert "a" in table
    assert "c" not in table


def test_ids_whose_hashes_collide_are_told_apart(monkeypatch):
    monkeypatch.setattr(ids_module, "_hash", lambda _: 7)
    table = IdTable.from_ids(["a", "b"]).extended(["c", "a"])

    assert table.indices_of(["c", "b", "a", "d"]).tolist() == [2, 1, 0, -1]


@given(names)
def test_a_table_lies_in_the_memory_it_was_given(texts):
    table = IdTable.from_ids(texts)
    arrays = {name: np.array(array) for name, array in table.to_arrays().items()}
    restored = IdTable.from_arrays(arrays)

    assert list(restored) == list(table)
    assert np.shares_memory(restored.hashes, arrays["hashes"]) or not len(table)


def test_texts_of_any_script_come_back():
    texts = ["", "ж", "日本語", "a" * 300, "🎬"]
    table = TextTable.from_texts(texts)

    assert list(table) == texts
    assert table.take([3, 0, 2]) == [texts[3], "", texts[2]]
    with pytest.raises(IndexError, match="5"):
        table[5]


def test_a_frame_is_reindexed_with_zeros_for_what_it_lacks():
    frame = SparseFrame(["a", "b"], ["x", "y"], np.array([[1, 2], [3, 4]]))
    wanted = frame.reindex(rows=["b", "c", "a"], columns=["z", "y"])

    assert wanted.matrix.toarray().tolist() == [[0, 4], [0, 0], [0, 2]]


def test_repeated_interactions_add_up():
    frame = SparseFrame.from_interactions(["u", "u", "v"], ["i", "i", "j"], [1, 2, 5])

    assert frame.matrix.toarray().tolist() == [[3, 0], [0, 5]]


@pytest.mark.parametrize(
    ("rows", "matrix", "message"),
    [
        (["a", "a"], np.ones((2, 1)), "'a' is there more than once"),
        (["a"], np.ones((2, 1)), "does not fit"),
        (["a"], np.array([[np.nan]]), "not finite"),
    ],
)
def test_a_frame_that_cannot_be_is_refused(rows, matrix, message):
    with pytest.raises(InvalidDataError, match=message):
        SparseFrame(rows, ["x"], matrix)


def test_a_frame_has_what_lightfm_takes():
    frame = SparseFrame(["a"], ["x"], sparse.csr_array(np.ones((1, 1), np.int64)))

    assert frame.matrix.dtype == np.float32
    assert frame.matrix.indices.dtype == np.int32


RECORDS = [{"age": n, "genres": ["a", "b"] if n % 2 else ["a"], "vip": n > 5, "kind": f"k{n % 3}"} for n in range(20)]


def test_every_value_falls_into_its_column():
    space = FeatureSpace.empty().extended(RECORDS)
    encoded = space.encode({"age": 3, "genres": ["b", "a"], "vip": True, "kind": "k1"})
    labels = space.names.ids_of(encoded.columns)

    assert {"genres=a", "genres=b", "vip=true", "kind=k1"} < set(labels)
    assert sum(label.startswith("age [") or label.startswith("age (") for label in labels) == 1
    assert encoded.weights.tolist() == [1.0] * 5


def test_normalised_weights_add_up_to_one():
    space = FeatureSpace.empty(normalise=True).extended(RECORDS)

    assert space.encode(RECORDS[3]).weights.sum() == pytest.approx(1)
    assert space.encode({}).weights.sum() == 0


def test_what_was_not_learned_counts_for_nothing_and_is_named():
    space = FeatureSpace.empty().extended(RECORDS)
    encoded = space.encode({"genres": ["a", "zz"], "shoe": 44, "colour": "red"})

    assert space.names.ids_of(encoded.columns) == ["genres=a"]
    assert encoded.ignored == ["genres=zz", "shoe", "colour=red"]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_falls_into_exactly_one_learned_bucket(values, number):
    space = FeatureSpace.empty().extended({"x": value} for value in values)
    encoded = space.encode({"x": number})

    assert len(encoded.columns) == 1
    assert len(space) <= 10
    assert encoded.ignored == []


def test_numbers_fall_into_buckets_in_their_order():
    space = FeatureSpace.empty().extended({"x": value} for value in range(100))
    columns = [int(space.encode({"x": value}).columns[0]) for value in range(-5, 105)]

    assert columns == sorted(columns)
    assert len(set(columns)) == 10


def test_growing_never_renumbers_and_keeps_buckets():
    space = FeatureSpace.empty().extended(RECORDS)
    grown = space.extended([{"age": 1000, "kind": "new", "height": 180}])

    assert list(grown.names)[: len(space)] == list(space.names)
    assert (grown.encode(RECORDS[4]).columns == space.encode(RECORDS[4]).columns).all()
    assert grown.edges["age"] == space.edges["age"]
    assert grown.encode({"height": 3, "kind": "new"}).ignored == []


def test_an_equals_sign_in_a_name_does_not_make_two_features_one():
    space = FeatureSpace.empty().extended([{"a=b": "c"}])

    assert space.encode({"a": "b=c"}).columns.size == 0
    assert space.encode({"a=b": "c"}).columns.size == 1


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(number):
    with pytest.raises(InvalidDataError, match="'x'"):
        FeatureSpace.empty().extended([{"x": number}])


def test_a_space_comes_back_from_its_names_and_meta():
    space = FeatureSpace.empty(normalise=True).extended(RECORDS)
    restored = FeatureSpace.from_meta(space.names, space.to_meta())

    for record in RECORDS:
        assert (restored.encode(record).columns == space.encode(record).columns).all()


def test_tokens_write_values_as_a_filter_does():
    features = {"genres": ["Sci-Fi", "War"], "year": 1995, "rating": 4.0, "price": 4.5, "vip": True}

    assert tokens(features) == ["genres:Sci-Fi", "genres:War", "year:1995", "rating:4", "price:4.5", "vip:true"]


@given(st.lists(st.sampled_from([-np.inf, 0.0, 1.0, 1.5, 2.0]), min_size=1, max_size=40), st.integers(1, 50))
def test_top_k_is_a_stable_sort_cut_off(values, k):
    scores = np.array(values, np.float32)
    expected = [index for index in sorted(range(len(values)), key=lambda i: (-values[i], i)) if values[index] > -np.inf]

    assert top_k(scores, k).tolist() == expected[:k]


def test_blocks_are_merged_by_score_then_place():
    scores, places = np.array([1, 3, 3, 2], np.float32), np.array([0, 9, 4, 1])

    assert merged_top_k(scores, places, 3).tolist() == [2, 1, 3]


def test_fold_in_finds_the_users_own_direction():
    chance = np.random.default_rng(0)
    items = chance.standard_normal((40, 4)).astype(np.float32)
    users = np.repeat(np.eye(4, dtype=np.float32), 10, axis=0)
    liked = [np.argsort(-(items @ user))[:8] for user in users]
    indptr = np.arange(0, 8 * 41, 8, dtype=np.int64)
    weights = learn_fold_in(items, indptr, np.concatenate(liked).astype(np.int32), users)

    for user, own in zip(users, liked, strict=True):
        assert np.argmax(fold_in(weights, items[own[:5]])) == np.argmax(user)


def _kinds(kind: type[RecommenderError]) -> list[type[RecommenderError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _kinds(child))]


@pytest.mark.parametrize("kind", _kinds(errors.RecommenderError))
def test_every_error_survives_the_way_through_ray(kind):
    travelled = pickle.loads(pickle.dumps(kind("what was wrong")))  # noqa: S301 (as Ray does)

    assert type(travelled) is kind
    assert str(travelled) == "what was wrong"
