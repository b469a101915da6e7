"""Similar items and users against cosines taken one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.schema import RecentItem, UserState
from recommender.serving import user_similarity
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import EMPTY_ROWS, Snapshot
from recommender.vector_search.cosine import cosines, row_norms
from tests.support.known_worlds import (
    COLD,
    INDICATORS,
    ITEMS,
    LOG_OFFSET,
    USERS,
    item_features,
    learned_world,
    parity,
    shared_snapshot,
    shared_world,
    user_features,
    with_meta,
)


def changed(indicators="both") -> Recommender:
    catalogue = Catalogue(shared_snapshot(indicators))
    changes = [
        ItemChange("fresh0", item_features("i4"), "Fresh"),
        ItemChange("i6", item_features("i7"), "Changed"),
        ItemChange("i8", {}, available=False),
        ItemChange("shoe", {"shoe": "red"}),
    ]
    catalogue.apply(changes, len(changes))
    return Recommender(catalogue)


def cosine(one, other) -> float:
    one, other = one.astype(np.float64), other.astype(np.float64)
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def represented(recommender: Recommender) -> dict[str, np.ndarray]:
    listed = [*ITEMS, *COLD, "fresh0"]
    return {item_id: recommender.catalogue.representations([item_id])[0] for item_id in listed}


@pytest.mark.parametrize("indicators", INDICATORS)
@pytest.mark.parametrize("item_id", ["i4", "i6", "i8", "i101", "fresh0"])
def test_neighbours_are_those_of_the_largest_cosine(indicators, item_id):
    recommender = changed(indicators)
    vectors = represented(recommender)
    expected = {other: cosine(vectors[item_id], vectors[other]) for other in vectors if other not in (item_id, "i8")}
    found = recommender.similar_items(item_id, 99)

    assert found.item_id == item_id
    assert {item.item_id: item.score for item in found.items} == pytest.approx(expected, abs=1e-6)
    assert [item.score for item in found.items] == sorted((item.score for item in found.items), reverse=True)
    assert recommender.similar_items(item_id, 3).items == found.items[:3]


def test_neighbours_are_of_the_same_kind_and_have_titles():
    found = learned_world().recommender().similar_items("i3", 4).items

    assert {parity(item.item_id) for item in found} == {1}
    assert all(item.title == f"Title of {item.item_id}" for item in found)


def test_neighbours_are_filtered():
    recommender = changed()
    found = {item.item_id for item in recommender.similar_items("i3", 99, ["group:g0", "-tags:t1"]).items}

    assert found == {"i0", "i2", "i102"}
    assert found == {item.item_id for item in recommender.similar_items("i3", 99, ["-tags:t1", "group:g0"]).items}


@pytest.mark.parametrize("item_id", ["nothing", "shoe"])
def test_an_item_of_which_nothing_is_known_has_no_neighbours(item_id):
    assert changed().similar_items(item_id, 5) is None


def test_a_fresh_item_is_found_and_one_that_was_withdrawn_is_not():
    recommender = changed()

    def shown() -> bool:
        return "fresh0" in [item.item_id for item in recommender.similar_items("i4", 99).items]

    assert shown()
    recommender.catalogue.apply([ItemChange("fresh0", item_features("i4"), available=False)], 9)
    assert not shown()


def test_twins_have_equal_cosines_and_keep_catalogue_order():
    recommender = Recommender(Catalogue(shared_snapshot()))
    twins = [f"twin{number}" for number in range(9)]
    recommender.catalogue.apply([ItemChange(twin, item_features("i4")) for twin in twins], 9)
    found = recommender.similar_items("i2", 99).items

    assert [item.item_id for item in found if item.item_id in twins] == twins
    assert len({item.score for item in found if item.item_id in twins}) == 1
    assert recommender.similar_items("twin3", 8).items[0].score == pytest.approx(1, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 20))
def test_a_cosine_depends_on_its_row_alone_and_none_is_beyond_one(seed, n, width):
    vectors = np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)
    everything = cosines(vectors, row_norms(vectors), vectors[0])
    alone = [cosines(row[None], row_norms(row[None]), vectors[0])[0] for row in vectors]

    assert everything.tolist() == alone
    assert everything[0] == pytest.approx(1, abs=1e-6)
    assert everything.max() <= 1


def test_what_has_no_length_has_no_cosine():
    vectors = np.array([[0, 0], [1, 0]], np.float32)

    assert cosines(vectors, row_norms(vectors), vectors[1]).tolist() == [-np.inf, 1]
    assert cosines(vectors, row_norms(vectors), vectors[0]).tolist() == [-np.inf, -np.inf]


def learned_rows(indicators) -> dict[str, np.ndarray]:
    """Representation of each user, from the training matrix of the model."""
    model = shared_world(indicators).model
    return dict(zip(model.users.ids, model.users.rows() @ model.user_embeddings, strict=True))


@pytest.mark.parametrize("users_at_once", [3, 65_536])
@pytest.mark.parametrize("indicators", INDICATORS)
def test_similar_users_are_those_of_the_largest_cosine(monkeypatch, indicators, users_at_once):
    monkeypatch.setattr(user_similarity, "USERS_AT_ONCE", users_at_once)
    recommender, vectors = Recommender(Catalogue(shared_snapshot(indicators))), learned_rows(indicators)
    for user_id in USERS[:4]:
        found = recommender.similar_users(user_id, UserState(user_features(user_id)), 99)
        expected = {other: cosine(vectors[user_id], vectors[other]) for other in vectors if other != user_id}

        assert found.user_id == user_id
        assert {user.user_id: user.score for user in found.users} == pytest.approx(expected, abs=1e-5)
        assert [user.score for user in found.users] == sorted((user.score for user in found.users), reverse=True)


def test_a_stranger_is_compared_by_features_or_by_recent_items():
    recommender = learned_world().recommender()
    for state in (
        UserState(user_features("u3")),
        UserState(None, (RecentItem("i3", LOG_OFFSET + 1), RecentItem("i5", LOG_OFFSET + 2))),
    ):
        found = recommender.similar_users("stranger", state, 4).users

        assert {parity(user.user_id) for user in found} == {1}


def test_recent_items_do_not_move_a_known_user_among_the_others():
    recommender = learned_world().recommender()
    still = recommender.similar_users("u3", UserState(user_features("u3")), 5)

    assert (
        recommender.similar_users("u3", UserState(user_features("u3"), (RecentItem("i2", LOG_OFFSET + 1),)), 5) == still
    )


def test_a_user_of_whom_nothing_is_known_has_no_neighbours():
    recommender = Recommender(Catalogue(shared_snapshot()))

    assert recommender.similar_users("stranger", UserState(), 5) is None
    assert recommender.similar_users("u3", UserState(deleted_at=LOG_OFFSET + 1), 5) is None


def test_a_user_who_was_forgotten_in_training_is_nobodys_neighbour():
    snapshot = shared_snapshot()
    kept = snapshot.seen.indptr.copy()
    forgotten = snapshot.user_ids.index_of("u5")
    kept[forgotten + 1 :] -= kept[forgotten + 1] - kept[forgotten]
    recommender = Recommender(Catalogue(with_arrays(snapshot, **{"seen.indptr": kept})))
    found = {user.user_id for user in recommender.similar_users("u3", UserState(), 99).users}

    assert found == {*USERS} - {"u3", "u5"}


def with_arrays(snapshot: Snapshot, **arrays: np.ndarray) -> Snapshot:
    return Snapshot.from_arrays({**snapshot.to_arrays(), **arrays}, snapshot.to_meta())


def test_a_snapshot_from_before_it_had_user_features_compares_by_indicators():
    snapshot = shared_snapshot()
    arrays = {name: array for name, array in snapshot.to_arrays().items() if not name.startswith("user_rows.")}
    old = Snapshot.from_arrays(arrays, with_meta(snapshot).to_meta())
    found = Recommender(Catalogue(old)).similar_users("u3", UserState(), 99)
    indicators = dict(zip(snapshot.user_ids, snapshot.user_indicators.vectors, strict=True))
    expected = {other: cosine(indicators["u3"], indicators[other]) for other in USERS if other != "u3"}

    assert old.user_rows is EMPTY_ROWS
    assert {user.user_id: user.score for user in found.users} == pytest.approx(expected, abs=1e-5)
