"""From a query to an answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import ITEMS, USERS, item_features, make_world, user_features

from recommender import SparseFrame
from recommender.catalogue import Catalogue, ItemChange
from recommender.errors import InvalidRequestError
from recommender.queries import Query, RankQuery, UserState
from recommender.recommending import Recommender
from recommender.snapshot import Snapshot

WORLDS = {(ind, norm): None for ind in ("both", "users", "items", False) for norm in (True, False)}
COLD = ["i100", "i101", "i102"]


def ids(answer) -> list[str]:
    return [item.item_id for item in answer.items]


def state_of(user_id: str, **more) -> UserState:
    return UserState(user_features(user_id), **more)


def recommend(recommender: Recommender, user_id: str | None = "u3", state: UserState | None = None, **query):
    return recommender.recommend(Query(user_id=user_id, **query), state or UserState())


def world_of(indicators, normalise):
    key = (indicators, normalise)
    if WORLDS[key] is None:
        WORLDS[key] = make_world(indicators, normalise=normalise, epochs=4)
    return WORLDS[key]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(WORLDS)),
    st.sampled_from([*USERS, "stranger"]),
    st.booleans(),
    st.lists(st.sampled_from([*ITEMS, *COLD]), min_size=1, max_size=8, unique=True),
)
def test_a_snapshot_scores_as_lightfm_predicts_on_the_same_rows(which, user_id, with_features, item_ids):
    world = world_of(*which)
    snapshot, features = world.snapshot, user_features("u5") if with_features else {}
    indices = snapshot.item_ids.indices_of(item_ids)
    user = snapshot.user_vector(
        snapshot.user_index(user_id), snapshot.user_space.encode(features), np.zeros((0, 6), np.float32)
    )
    row = world.model.users.encode([user_id], world.rows("user", user_id, features))
    frame = SparseFrame(item_ids, world.item_space.names, world.item_space.encode_many(map(item_features, item_ids)))
    items = world.model.items.encode(item_ids, frame)
    expected = world.model.predict(0, np.arange(len(item_ids), dtype=np.int32), items, row)

    assert snapshot.score(user, indices) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("user_id", "features", "recent", "strategy", "case"),
    [
        ("u3", user_features("u3"), (), "personalized", "I"),
        ("stranger", user_features("u3"), (), "features", "II"),
        ("u3", None, (), "personalized", "III"),
        ("stranger", None, (), "popular", "IV"),
        ("stranger", None, (("i2", 1),), "recent", "IV"),
        ("stranger", user_features("u3"), (("i2", 1),), "recent", "II"),
        ("u3", user_features("u3"), (("i2", 1),), "recent", "I"),
        ("stranger", {"shoe": 44}, (), "popular", "IV"),
        ("stranger", None, (("unheard-of", 1),), "popular", "IV"),
    ],
)
def test_the_strategy_and_case_say_what_was_known(world, user_id, features, recent, strategy, case):
    answer = recommend(world.recommender, user_id, UserState(features, recent))

    assert (answer.strategy, answer.case) == (strategy, case)


def test_what_a_user_has_seen_is_left_out_unless_asked_for(world):
    seen = set(world.snapshot.item_ids.ids_of(world.snapshot.learned_items("u3")))

    assert seen
    assert not seen & set(ids(recommend(world.recommender, k=100)))
    assert seen <= set(ids(recommend(world.recommender, k=100, exclude_seen=False)))


def test_recent_items_are_left_out_and_those_that_were_learned_are_not_folded_in_again(world):
    fresh = UserState(None, (("i2", 1),))
    learned = UserState(None, (("i2", 0),))

    assert "i2" not in ids(recommend(world.recommender, "u3", fresh, k=100))
    assert recommend(world.recommender, "u3", learned).strategy == "personalized"


def test_recent_items_move_the_list_towards_their_kind():
    recommender = make_world(epochs=40).recommender
    even = recommend(recommender, None, recent=("i2", "i4"), k=3)
    odd = recommend(recommender, None, recent=("i3", "i5"), k=3)

    assert {int(item[1:]) % 2 for item in ids(even)} == {0}
    assert {int(item[1:]) % 2 for item in ids(odd)} == {1}


def test_a_user_deleted_after_the_training_is_a_stranger(world):
    answer = recommend(world.recommender, "u3", UserState(None, (), deleted_at=1), k=100)

    assert (answer.strategy, answer.case) == ("popular", "IV")
    assert len(answer.items) == world.snapshot.n_items


def test_features_of_the_request_replace_the_stored_ones(world):
    assert recommend(world.recommender, "u3", state_of("u3"), features={}).case == "III"


def test_equal_scores_keep_catalogue_order(world):
    answer = recommend(world.recommender, "stranger", k=100)
    order = {item_id: place for place, item_id in enumerate(world.snapshot.item_ids)}

    assert ids(answer) == sorted(ids(answer), key=lambda item: (-_score(answer, item), order[item]))


def _score(answer, item_id: str) -> float:
    return next(item.score for item in answer.items if item.item_id == item_id)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([*USERS, "stranger", None]), min_size=1, max_size=6),
    st.integers(1, 20),
    st.lists(st.sampled_from([*ITEMS, *COLD, "nothing"]), max_size=5),
    st.none() | st.lists(st.sampled_from([*ITEMS, *COLD, "nothing"]), max_size=5),
    st.booleans(),
)
def test_a_batch_answers_as_its_queries_do_alone(world, users, k, exclude, candidates, exclude_seen):
    queries = [
        Query(
            user_id=user,
            k=k,
            exclude=tuple(exclude),
            candidates=None if candidates is None else tuple(candidates),
            exclude_seen=exclude_seen,
        )
        for user in users
    ]
    states = [UserState() if user in (None, "stranger") else state_of(user) for user in users]
    together = world.recommender.recommend_many(queries, states)
    for query, state, answer in zip(queries, states, together, strict=True):
        alone = world.recommender.recommend(query, state)

        assert ids(alone) == ids(answer)
        assert len(set(ids(answer))) == len(ids(answer)) <= k
        assert not set(ids(answer)) & set(exclude)
        assert candidates is None or set(ids(answer)) <= set(candidates)


@pytest.mark.parametrize("user_id", ["u3", "stranger"])
def test_an_explanation_adds_up_to_the_score(world, user_id):
    for item in recommend(world.recommender, user_id, k=100, explain=True).items:
        assert sum(part.contribution for part in item.explanation) == pytest.approx(item.score, abs=1e-5)


def test_a_filter_is_a_conjunction_of_names_and_a_disjunction_of_values(world):
    def found(*clauses: str) -> set[str]:
        return set(ids(recommend(world.recommender, k=100, exclude_seen=False, filter=clauses)))

    def expected(holds) -> set[str]:
        return {item for item in world.snapshot.item_ids if holds(item_features(item))}

    assert found("tags:t1") == expected(lambda item: "t1" in item["tags"])
    assert found("tags:t1", "tags:t2") == expected(lambda item: {"t1", "t2"} & set(item["tags"]))
    assert found("tags:t1", "group:g0") == expected(lambda item: "t1" in item["tags"] and item["group"] == "g0")
    assert found("-tags:t1") == expected(lambda item: "t1" not in item["tags"])
    assert found("tags:nothing") == set()


@pytest.mark.parametrize("clause", ["", "tags", ":t1", "-", "-:x"])
def test_a_malformed_filter_is_refused(world, clause):
    with pytest.raises(InvalidRequestError):
        recommend(world.recommender, filter=(clause,))


def test_a_snapshot_serves_from_read_only_memory_without_a_copy(world):
    arrays = world.snapshot.to_arrays()
    shared = {}
    for name, array in arrays.items():
        shared[name] = np.array(array)
        shared[name].flags.writeable = False
    restored = Snapshot.from_arrays(shared, world.snapshot.to_meta())
    ours, theirs = world.recommender, Recommender(Catalogue(restored))

    assert np.shares_memory(restored.items.vectors, shared["items.vectors"])
    for user in [*USERS, "stranger"]:
        assert recommend(ours, user, k=100).items == recommend(theirs, user, k=100).items


def test_a_new_item_joins_with_its_features_at_once(world):
    recommender = world.recommender
    recommender.catalogue.apply([ItemChange("fresh", item_features("i4"), "Fresh")], 1)
    answer = recommend(recommender, k=100)
    fresh = next(item for item in answer.items if item.item_id == "fresh")
    ranked = recommender.rank(RankQuery(items=(("fresh", None), ("other", item_features("i4"))), user_id="u3"))

    assert (fresh.case, fresh.title) == ("VII", "Fresh")
    assert [item.score for item in ranked.items] == pytest.approx([fresh.score] * 2, abs=1e-6)


def test_a_changed_item_is_scored_by_its_new_features_and_there_once(world):
    recommender = world.recommender
    before = recommend(recommender, k=100, exclude_seen=False)
    recommender.catalogue.apply([ItemChange("i4", item_features("i5"), "Other")], 1)
    after = recommend(recommender, k=100, exclude_seen=False)
    expected = recommender.rank(RankQuery(items=(("i4", item_features("i5")),), user_id="u3")).items[0].score

    assert sorted(ids(before)) == sorted(ids(after))
    assert _score(after, "i4") == pytest.approx(expected, abs=1e-5)
    assert _score(after, "i4") != _score(before, "i4")


def test_a_changed_item_that_was_seen_stays_left_out(world):
    recommender = world.recommender
    seen = world.snapshot.item_ids.ids_of(world.snapshot.learned_items("u3"))[0]
    recommender.catalogue.apply([ItemChange(seen, item_features("i5"))], 1)

    assert seen not in ids(recommend(recommender, k=100))


@pytest.mark.parametrize("item_id", ["i4", "i101", "fresh"])
def test_an_unavailable_item_is_never_returned_and_comes_back(world, item_id):
    recommender = world.recommender
    catalogue = recommender.catalogue
    catalogue.apply([ItemChange(item_id, item_features("i4"))], 1)
    assert item_id in ids(recommend(recommender, "stranger", k=100))

    catalogue.apply([ItemChange(item_id, item_features("i4"), available=False)], 2)
    assert item_id not in ids(recommend(recommender, "stranger", k=100))
    assert item_id not in [item.item_id for item in recommender.popular(100).items]
    ranked = recommender.rank(RankQuery(items=((item_id, None),), user_id="u3"))
    assert [item.item_id for item in ranked.unscored] == [item_id]

    catalogue.apply([ItemChange(item_id, item_features("i4"))], 3)
    assert item_id in ids(recommend(recommender, "stranger", k=100))
    assert catalogue.sequence == 3


def test_many_new_items_rank_as_if_they_had_been_there(world):
    recommender = world.recommender
    new = [f"i{n}" for n in range(200, 260)]
    recommender.catalogue.apply([ItemChange(item, item_features(item)) for item in new], 60)
    answer = recommend(recommender, "u3", state_of("u3"), k=1000)
    ranked = recommender.rank(
        RankQuery(items=tuple((item, None) for item in ids(answer)), user_id="u3"), state_of("u3")
    )

    assert len(ids(answer)) == len(set(ids(answer)))
    assert set(new) <= set(ids(answer))
    assert [item.score for item in answer.items] == pytest.approx([item.score for item in ranked.items], abs=1e-5)


def test_without_a_fallback_a_stranger_gets_nothing(world):
    answer = recommend(world.recommender, "stranger", fallback="none")

    assert (answer.strategy, answer.items) == ("none", [])
