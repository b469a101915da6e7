"""Item-item matrix and low-pass filter in answers, against a dense second implementation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields

from recommender.feature_space import tokens
from recommender.models.feedback import Feedback
from recommender.schema import Query, RankQuery, RecentItem, UserState
from recommender.serving.batch import BatchRecommender
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.history_weights import HistoryWeights
from recommender.serving.pagination import decode_cursor
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from tests.support.history_parts import history_by_hand, part_by_hand, with_history_parts
from tests.support.known_worlds import (
    COLD,
    ITEMS,
    LOG_OFFSET,
    USERS,
    item_features,
    lets_through,
    shared_snapshot,
    user_features,
)

OLD, NEW = LOG_OFFSET, LOG_OFFSET + 1
FEEDBACK = Feedback({"hide": -1.0})
CHANGES = [
    ItemChange("fresh0", item_features("i4"), "Fresh"),
    ItemChange("i6", item_features("i7"), "Changed"),
    ItemChange("i100", item_features("i1")),
    ItemChange("i8", {}, available=False),
    ItemChange("i9", item_features("i9")),
]
NAMES = [*ITEMS, *COLD, "fresh0"]
some_items = st.lists(st.sampled_from([*NAMES, "nothing"]), max_size=5)
filters = st.lists(st.sampled_from(["group:g0", "-tags:t0", "tags:t1"]), max_size=2)
queries = st.builds(
    Query,
    user_id=st.sampled_from([*USERS[:4], "stranger", None]),
    features=st.sampled_from([None, {}, user_features("u3")]),
    recent=some_items.map(tuple),
    k=st.integers(1, 16),
    exclude=some_items.map(tuple),
    candidates=st.none() | some_items.map(tuple),
    filter=filters.map(tuple),
    exclude_seen=st.booleans(),
    boost=st.sampled_from([(), (("tags:t1", 0.75),), (("group:g0", -3.0),)]),
)
states = st.builds(
    UserState,
    recent=st.lists(
        st.builds(
            RecentItem,
            st.sampled_from(NAMES),
            st.sampled_from([OLD, NEW]),
            st.just(1.0),
            st.sampled_from([None, "hide"]),
        ),
        max_size=4,
        unique_by=lambda each: each.item_id,
    ).map(tuple),
    deleted_at=st.sampled_from([0, NEW]),
)
snapshots = st.builds(
    lambda seed, half_life: with_history_parts(shared_snapshot(), seed, half_life),
    st.integers(0, 5),
    st.sampled_from([None, 2.0]),
)


def recommender_of(snapshot: Snapshot) -> Recommender:
    catalogue = Catalogue(snapshot)
    catalogue.apply(CHANGES, len(CHANGES))
    return Recommender(catalogue, feedback=FEEDBACK)


def without_parts(snapshot: Snapshot) -> Snapshot:
    """The same as if it had no history parts: LightFM's score alone."""
    return replace(snapshot, history=None, item_item=shared_snapshot().item_item)


def history_of(snapshot: Snapshot, query: Query, state: UserState) -> list[str]:
    erased = state.deleted_at > LOG_OFFSET
    known = None if erased else query.user_id
    index = snapshot.user_index(known)
    liked = snapshot.item_ids.ids_of(snapshot.liked_items(index).tolist())
    unlearned = [each for each in state.recent if each.offset > LOG_OFFSET]
    clicks = [each.item_id for each in unlearned if each.event != "hide"]
    hidden = {each.item_id for each in unlearned if each.event == "hide"}
    items = list(snapshot.item_ids.ids_of(range(snapshot.n_known_items)))
    return history_by_hand(liked, [*clicks, *query.recent], hidden, items)


def by_hand(snapshot: Snapshot, query: Query, state: UserState) -> dict[str, float]:
    """Score of every item that may be in the answer."""
    lightfm = recommender_of(without_parts(snapshot))
    history = history_of(snapshot, query, state)
    words = {name: set(tokens(item_features(name))) for name in [*ITEMS, *COLD]}
    words |= {change.item_id: set(tokens(change.features)) for change in CHANGES}
    allowed = {name for name in words if query.candidates is None or name in query.candidates}
    allowed = {name for name in allowed - set(query.exclude) if lets_through(query.filter, words[name])}
    if query.exclude_seen:
        allowed -= {each.item_id for each in state.recent} | set(query.recent)
        if state.deleted_at <= LOG_OFFSET and query.user_id in snapshot.user_ids:
            allowed -= set(snapshot.item_ids.ids_of(snapshot.learned_items(query.user_id)))
    rank = RankQuery(
        items=tuple((name, None) for name in sorted(allowed)),
        user_id=query.user_id,
        features=query.features,
        recent=query.recent,
    )
    ranking = lightfm.rank(rank, state)
    added = {name: sum(amount for token, amount in query.boost if token in words[name]) for name in words}
    popular = ranking.strategy == "popular"
    return {
        item.item_id: item.score
        + added[item.item_id]
        + (0.0 if popular else part_by_hand(snapshot, history, item.item_id))
        for item in ranking.items
    }


@settings(max_examples=200, deadline=None)
@given(snapshots, queries, states)
def test_an_answer_is_the_best_by_the_sum_of_all_parts(snapshot, query, state):
    recommender = recommender_of(snapshot)
    expected = by_hand(snapshot, query, state)
    answer = recommender.recommend(query, state)
    found, scores = [item.item_id for item in answer.items], [item.score for item in answer.items]

    assert len(found) == len(set(found)) == min(query.k, len(expected))
    assert scores == pytest.approx([expected[item_id] for item_id in found], abs=2e-4)
    assert sorted(expected.values(), reverse=True)[: query.k] == pytest.approx(scores, abs=2e-4)
    assert scores == sorted(scores, reverse=True)


@settings(max_examples=60, deadline=None)
@given(snapshots, st.lists(st.tuples(queries, states), min_size=2, max_size=6))
def test_users_of_different_histories_are_answered_together_as_each_alone(snapshot, pairs):
    recommender = recommender_of(snapshot)
    together = recommender.recommend_many([query for query, _ in pairs], [state for _, state in pairs])
    for (query, state), answer in zip(pairs, together, strict=True):
        alone = recommender.recommend(query, state)

        assert answer == with_fields(alone, recommendation_id=answer.recommendation_id, next_cursor=answer.next_cursor)


@settings(max_examples=60, deadline=None)
@given(snapshots, queries, states)
def test_ranked_items_and_all_scores_have_the_same_parts(snapshot, query, state):
    recommender = recommender_of(snapshot)
    query = with_fields(query, exclude=(), candidates=None, filter=(), boost=(), exclude_seen=False, k=50)
    answer = {item.item_id: item.score for item in recommender.recommend(query, state).items}
    rank = RankQuery(
        items=tuple((name, None) for name in answer),
        user_id=query.user_id,
        features=query.features,
        recent=query.recent,
    )
    ranked = {item.item_id: item.score for item in recommender.rank(rank, state).items}
    [scores] = recommender.score_many([query], [state])
    positions = recommender.catalogue.positions(list(answer))

    assert ranked == pytest.approx(answer, abs=2e-4)
    assert scores[positions].tolist() == pytest.approx(list(answer.values()), abs=2e-4)


@settings(max_examples=60, deadline=None)
@given(snapshots, queries, states)
def test_the_parts_of_an_explanation_add_up_and_interactions_have_their_exact_shares(snapshot, query, state):
    recommender = recommender_of(snapshot)
    query = with_fields(query, explain=True, exclude_seen=False)
    history = history_of(snapshot, query, state)
    for item in recommender.recommend(query, state).items:
        parts = {part.feature: part.contribution for part in item.explanation}

        assert sum(parts.values()) == pytest.approx(item.score, abs=2e-4)
        assert parts.get("history", 0.0) == pytest.approx(part_by_hand(snapshot, history, item.item_id), abs=2e-4)
        shares = [each.contribution for each in item.interactions]
        assert shares == sorted(shares, reverse=True)
        assert all(share > 0 for share in shares)


def test_pages_show_every_item_once_in_the_order_of_one_long_answer():
    recommender = recommender_of(with_history_parts(shared_snapshot()))
    query = Query(user_id="u3", exclude_seen=False, k=3)
    whole = [item.item_id for item in recommender.recommend(with_fields(query, k=50)).items]
    pages, answer = [], recommender.recommend(query)
    while answer.items:
        pages += [item.item_id for item in answer.items]
        if answer.next_cursor is None:
            break
        answer = recommender.recommend(with_fields(query, shown=tuple(decode_cursor(answer.next_cursor))))

    assert pages == whole


def test_diversity_and_exploration_keep_true_scores():
    snapshot = with_history_parts(shared_snapshot())
    catalogue = Catalogue(snapshot)
    query = Query(user_id="u3", exclude_seen=False, k=6)
    true = {item.item_id: item.score for item in Recommender(catalogue).recommend(with_fields(query, k=50)).items}
    mixed = Recommender(catalogue, 0.5).recommend(with_fields(query, diversity=0.5)).items

    assert any(item.explored for item in mixed)
    assert {item.item_id: item.score for item in mixed} == {item.item_id: true[item.item_id] for item in mixed}


def test_a_click_acts_in_the_next_answer_through_its_row():
    plain = with_history_parts(shared_snapshot(), half_life=None)
    row = np.zeros(plain.n_known_items, np.float32)
    row[plain.item_ids.index_of("i2")] = 100
    matrix = np.zeros((plain.n_known_items, plain.n_known_items), np.float32)
    matrix[plain.item_ids.index_of("i5")] = row
    indptr = np.append(0, np.cumsum((matrix != 0).sum(axis=1))).astype(np.int64)
    entries = np.nonzero(matrix)
    snapshot = replace(plain, item_item=type(plain.item_item)(indptr, entries[1].astype(np.int32), matrix[entries]))
    recommender = Recommender(Catalogue(snapshot), feedback=FEEDBACK)
    clicked = UserState(recent=(RecentItem("i5", NEW),))
    hidden = UserState(recent=(RecentItem("i5", NEW, 1.0, "hide"),))

    assert recommender.recommend(Query(user_id="stranger", k=1), clicked).items[0].item_id == "i2"
    assert recommender.recommend(Query(recent=("i5",), k=1)).items[0].item_id == "i2"
    assert recommender.recommend(Query(user_id="stranger", k=1), hidden).strategy == "popular"


def test_a_changed_item_keeps_what_the_matrix_says_of_it():
    snapshot = with_history_parts(shared_snapshot())
    query = Query(user_id="u3", exclude_seen=False, k=50)
    before = {item.item_id: item.score for item in Recommender(Catalogue(snapshot)).recommend(query).items}
    catalogue = Catalogue(snapshot)
    catalogue.apply([ItemChange(item_id, item_features(item_id), "New title") for item_id in ITEMS], 1)
    after = {item.item_id: item.score for item in Recommender(catalogue).recommend(query).items}

    assert after == pytest.approx(before, abs=1e-4)


def test_everyone_gets_in_a_batch_what_they_get_alone():
    snapshot = with_history_parts(shared_snapshot())
    recommender = Recommender(Catalogue(snapshot))
    lists = BatchRecommender(snapshot, k=4).learned(0, len(USERS))
    found = np.split(lists.positions, np.cumsum(lists.lengths)[:-1])
    for user, positions in zip(lists.users.tolist(), found, strict=True):
        alone = recommender.recommend(Query(user_id=snapshot.user_ids[user], k=4, features=user_features(f"u{user}")))
        rows = snapshot.user_rows

        if len(rows.indptr) > 1:
            assert [item.item_id for item in alone.items] == snapshot.item_ids.ids_of(positions.tolist())
        assert len(positions) <= 4


def test_only_the_newest_of_a_long_history_are_used_and_its_length_counts_in_full():
    weights = HistoryWeights(0.2, [1, 4], [1.0, 2.0], [0.0, 0.0])
    rows = np.arange(5, dtype=np.int32)
    history = weights.of(rows, np.zeros(0, np.float32))

    assert history.rows.tolist() == [3, 4]
    assert history.item_item == pytest.approx([2.0 * 0.5**5, 2.0])


def test_a_snapshot_scores_as_its_answers_do():
    snapshot = with_history_parts(shared_snapshot())
    user = snapshot.user_vector(
        snapshot.user_index("u3"), snapshot.user_space.encode({}), np.zeros((0, snapshot.no_components), np.float32)
    )
    [scores] = Recommender(Catalogue(snapshot)).score_many([Query(user_id="u3", features={})], [UserState()])

    assert snapshot.score(user._replace(bias=0.0)) == pytest.approx(scores, abs=1e-5)
