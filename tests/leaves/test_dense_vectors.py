"""Dense vectors: 16 bits a number, readable, and columns of a feature space."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recommender.dense_vectors.packing import decimals_of, length_of, pack_vector, unpack_vectors, with_lists
from recommender.dense_vectors.projection import MOST_COMPONENTS, fit_projection
from recommender.feature_space import FeatureSpace, tokens

sizes = st.sampled_from([1e-20, 1e-3, 0.2, 1.0, 7.0, 1e6, 1e30])
numbers = st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=40)


@given(numbers, sizes)
def test_a_number_is_off_by_no_more_than_a_32768th_of_the_largest(given_numbers, size):
    vector = np.array(given_numbers) * size
    found = unpack_vectors([pack_vector(vector.tolist())])[0]

    assert np.abs(found - vector).max() <= np.abs(vector).max() / 32_000 + 1e-37


@given(numbers, sizes)
@example([1e-45, 0.0], 1e-20)
def test_what_is_read_and_put_again_is_the_same(given_numbers, size):
    packed = pack_vector([number * size for number in given_numbers])

    assert pack_vector(decimals_of(packed)) == packed


def test_few_decimals_come_back_as_they_were_given():
    given_numbers = [0.12, -0.5, 0.333, 0.0, 0.9999]

    assert decimals_of(pack_vector(given_numbers)) == pytest.approx(given_numbers, abs=2e-5)
    assert decimals_of(pack_vector([0.25, -0.5])) == [0.25, -0.5]
    assert decimals_of(pack_vector([0.0, 0.0])) == [0.0, 0.0]
    assert with_lists({"text": pack_vector([1.0, 2.0]), "tags": ["a"]}) == {"text": [1.0, 2.0], "tags": ["a"]}


@pytest.mark.parametrize("least", [5e-324, 1e-320, 1e-310, 1e-45])
def test_numbers_smaller_than_any_of_float32_are_0(least):
    assert decimals_of(pack_vector([least, -least, 0.0])) == [0.0, 0.0, 0.0]


def test_384_numbers_take_769_bytes():
    assert len(pack_vector([0.1] * 384).data) == 769


def with_vectors(space, records):
    """Space with the principal components of all vectors that have no columns."""
    found = space.new_vectors(records)
    return space.with_projections({name: fit_projection([each for _, each in own]) for name, own in found.items()})


def space_of(records, *, normalise=False):
    return with_vectors(FeatureSpace.empty(normalise=normalise).extended(records), records)


def records_of(n=50, length=6, seed=0):
    chance = np.random.default_rng(seed)
    return [{"text": row.tolist(), "tag": f"t{place % 3}"} for place, row in enumerate(chance.normal(size=(n, length)))]


def test_a_vector_falls_into_columns_of_its_own_beside_the_others():
    records = records_of()
    space = space_of(records)
    one, many = space.encode(records[0]), space.encode_many(records)

    assert len(space) == 3 + 1 + 6
    assert one.columns.tolist() == [0, 3, 4, 5, 6, 7, 8, 9]
    assert one.weights[:2].tolist() == [1.0, 1.0]
    assert many[0].toarray()[0, one.columns] == pytest.approx(one.weights, abs=1e-6)
    assert [each.weights.tolist() for each in space.encode_each(records)] == [
        space.encode(record).weights.tolist() for record in records
    ]


def test_components_have_a_variance_of_1_on_average_and_lose_nothing_of_a_short_vector():
    records = records_of(n=400)
    rows = space_of(records).encode_many(records).toarray()[:, 4:]
    vectors = np.array([record["text"] for record in records])
    distances = np.corrcoef(np.linalg.norm(rows - rows[0], axis=1), np.linalg.norm(vectors - vectors[0], axis=1))

    assert rows.var(axis=0).mean() == pytest.approx(1, abs=0.02)
    assert np.abs(rows.mean(axis=0)).max() < 1e-3
    assert distances[0, 1] > 0.98


def test_a_long_vector_has_64_components_at_most():
    space = space_of(records_of(n=100, length=200))

    assert len(space) == 3 + 1 + MOST_COMPONENTS


def test_what_was_not_learned_of_a_vector_is_named_and_does_no_harm():
    space = space_of(records_of())

    assert space.encode({"image": [0.5, 1.5]}).ignored == ["image"]
    assert space.encode({"text": [0.5, 1.5]}).ignored == ["text"]
    assert space.encode({"text": "hello"}).ignored == ["text=hello"]
    assert "the model knows no such feature" in space.meant("image")
    assert space.meant("text") == "text (the model learned vectors of 6 numbers)"
    assert not space.encode_many([{"image": [0.5, 1.5]}, {}]).nnz


def test_old_columns_keep_their_places_when_a_space_grows():
    records = records_of()
    space = space_of(records)
    grown = with_vectors(space.extended([{"tag": "new"}, {"tag": "new"}]), records_of(seed=1))

    assert grown.encode(records[3]).columns.tolist() == space.encode(records[3]).columns.tolist()
    assert grown.encode(records[3]).weights.tolist() == space.encode(records[3]).weights.tolist()
    assert grown.encode({"tag": "new"}).columns.tolist() == [len(space)]


def test_a_space_with_vectors_comes_back_from_its_arrays_and_meta():
    records = [{**record, "a=b/…": record["text"][:3]} for record in records_of()]
    space = space_of(records)
    restored = FeatureSpace.from_arrays(space.to_arrays(), space.to_meta())

    for record in records[:5]:
        mine, theirs = space.encode(record), restored.encode(record)
        assert mine.columns.tolist() == theirs.columns.tolist()
        assert mine.weights.tolist() == theirs.weights.tolist()
    assert space.named(np.arange(len(space)))[0] == ["tag=t0", "tag=t1", "tag=t2", "text", "a\\=b/…"]


def test_division_by_the_count_of_features_leaves_vectors_alone():
    records = [{**record, "other": "x"} for record in records_of()]
    plain, divided = (space_of(records, normalise=each) for each in (False, True))

    assert divided.encode(records[0]).weights[:2].tolist() == [0.5, 0.5]
    assert divided.encode(records[0]).weights[2:].tolist() == plain.encode(records[0]).weights[2:].tolist()


def test_no_filter_asks_for_the_numbers_of_a_vector():
    assert tokens({"text": [0.5, 1.5], "tag": "a"}) == ["tag:a"]


def test_of_vectors_of_several_lengths_the_most_frequent_is_learned():
    records = [{"text": [0.1, 0.2, float(n)]} for n in range(5)] + [{"text": [0.5, 1.5]}]
    space = space_of(records)

    assert space.vectors["text"].length == 3
    assert length_of(pack_vector([0.5, 1.5])) == 2
    assert space.encode_many(records)[5].nnz == 0
