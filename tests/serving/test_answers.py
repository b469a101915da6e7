"""Recommender: from a query to an answer, against ranking every item by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from recommender.cases import UNSCORED
from recommender.errors import InvalidRequestError
from recommender.feature_space import Features, tokens
from recommender.models.feedback import Feedback
from recommender.schema import Query, RankQuery, RecentItem, Recommendations, UserState
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.recommender import WITHDRAWN, Recommender
from recommender.sparse_frame import SparseFrame
from tests.support.known_worlds import (
    COLD,
    INDICATORS,
    ITEMS,
    LOG_OFFSET,
    USERS,
    World,
    encoded,
    entry,
    item_features,
    learned_world,
    lets_through,
    parity,
    shared_snapshot,
    shared_world,
    user_features,
    with_meta,
)

OLD, NEW = LOG_OFFSET, LOG_OFFSET + 1
"""Offsets of an interaction that the snapshot has learned, and of one that it has not."""

NO_ROWS = [*ITEMS, *COLD, "fresh0", "fresh1"]
asked_items = st.lists(st.sampled_from([*NO_ROWS, "nothing"]), max_size=6)
filters = st.lists(st.sampled_from(["group:g0", "group:g1", "-tags:t0", "tags:t1", "tags:t2"]), max_size=2)

queries = st.builds(
    Query,
    user_id=st.sampled_from([*USERS[:4], "stranger", None]),
    features=st.none() | st.just({}) | st.sampled_from([user_features("u3"), {"shoe": 44}]),
    recent=asked_items.map(tuple),
    k=st.integers(1, 20),
    exclude=asked_items.map(tuple),
    candidates=st.none() | asked_items.map(tuple),
    filter=filters.map(tuple),
    exclude_seen=st.booleans(),
)
states = st.builds(
    UserState,
    features=st.none() | st.sampled_from([user_features("u2"), {"group": "g1"}]),
    recent=st.lists(st.builds(RecentItem, st.sampled_from(NO_ROWS), st.sampled_from([OLD, NEW])), max_size=4).map(
        tuple
    ),
    deleted_at=st.sampled_from([0, OLD, NEW]),
)


def changed(indicators="both") -> Recommender:
    """Recommender over a catalogue with new, changed and withdrawn items."""
    catalogue = Catalogue(shared_snapshot(indicators))
    changes = [
        ItemChange("fresh0", item_features("i4"), "Fresh"),
        ItemChange("fresh1", item_features("i5")),
        ItemChange("i6", item_features("i7"), "Changed"),
        ItemChange("i100", item_features("i1")),
        ItemChange("i8", {}, available=False),
    ]
    catalogue.apply(changes, len(changes))
    return Recommender(catalogue)


def ids(answer: Recommendations) -> list[str]:
    return [item.item_id for item in answer.items]


def ask(recommender: Recommender, user_id: str | None = "u3", state: UserState | None = None, **query):
    return recommender.recommend(Query(user_id=user_id, **query), state)


def by_hand(recommender: Recommender, query: Query, state: UserState) -> dict[str, float]:
    """Score of every item that may be in the answer, by ranking them one by one."""
    snapshot, fresh = recommender.snapshot, recommender.catalogue.delta
    words = {item_id: set(tokens(item_features(item_id))) for item_id in [*ITEMS, *COLD]}
    words |= {item_id: set(fresh.tokens[row]) for item_id, row in fresh.rows.items()}
    allowed = set(words) if query.candidates is None else set(words) & set(query.candidates)
    allowed = {item_id for item_id in allowed if lets_through(query.filter, words[item_id])}
    allowed -= set(query.exclude)
    if query.exclude_seen:
        allowed -= {item_id for item_id, *_ in state.recent} | set(query.recent)
        if state.deleted_at <= LOG_OFFSET and query.user_id in snapshot.user_ids:
            allowed -= set(snapshot.item_ids.ids_of(snapshot.learned_items(query.user_id)))
    rank = RankQuery(
        items=tuple((item_id, None) for item_id in sorted(allowed)),
        user_id=query.user_id,
        features=query.features,
        recent=query.recent,
    )
    return {item.item_id: item.score for item in recommender.rank(rank, state).items}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(INDICATORS), queries, states)
def test_an_answer_is_the_best_of_all_items_ranked_by_hand(indicators, query, state):
    recommender = changed(indicators)
    expected = by_hand(recommender, query, state)
    answer = recommender.recommend(query, state)
    found = ids(answer)

    assert len(found) == len(set(found)) == min(query.k, len(expected))
    assert set(found) <= set(expected)
    assert [item.score for item in answer.items] == pytest.approx([expected[item] for item in found], abs=1e-5)
    assert [item.score for item in answer.items] == sorted((item.score for item in answer.items), reverse=True)
    assert sorted(expected.values(), reverse=True)[: query.k] == pytest.approx(
        [item.score for item in answer.items], abs=1e-5
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(queries, states), min_size=1, max_size=6))
def test_a_batch_answers_as_its_queries_do_alone(pairs):
    recommender = changed()
    together = recommender.recommend_many([query for query, _ in pairs], [state for _, state in pairs])
    for (query, state), answer in zip(pairs, together, strict=True):
        alone = recommender.recommend(query, state)

        assert answer == replace(alone, recommendation_id=answer.recommendation_id)


def test_no_query_has_no_answer(recommender):
    assert recommender.recommend_many([], []) == []


def own_bias(recommender: Recommender, user_id: str, features: Features) -> float:
    """What every item gets from a user by LightFM, and by no answer: it orders nothing."""
    snapshot = recommender.snapshot
    nothing = np.zeros((0, snapshot.no_components), np.float32)
    user = snapshot.user_vector(snapshot.user_index(user_id), snapshot.user_space.encode(features), nothing)
    return 0.0 if user.strategy == "popular" else user.bias


@pytest.mark.parametrize("indicators", INDICATORS)
def test_scores_of_all_are_lightfms_own_without_what_every_item_gets_from_the_user(indicators):
    world, recommender = shared_world(indicators), Recommender(Catalogue(shared_snapshot(indicators)))
    listed = list(recommender.snapshot.item_ids)
    states = [UserState(user_features(user_id)) for user_id in USERS]
    scores = recommender.score_many([Query(user_id=user_id) for user_id in USERS], states)
    for user_id, own in zip(USERS, scores, strict=True):
        expected = world.model.predict_online(user_id, listed, world.items(*listed), world.users(user_id))

        assert own + own_bias(recommender, user_id, user_features(user_id)) == pytest.approx(
            expected.to_numpy(), abs=1e-5
        )


@pytest.mark.parametrize(
    ("user_id", "features", "recent", "strategy", "case"),
    [
        ("u3", user_features("u3"), (), "personalized", "I"),
        ("stranger", user_features("u3"), (), "features", "II"),
        ("u3", None, (), "personalized", "III"),
        ("stranger", None, (), "popular", "IV"),
        (None, None, (), "popular", "IV"),
        ("u3", user_features("u3"), ("i2",), "recent", "I"),
        ("stranger", user_features("u3"), ("i2",), "recent", "II"),
        ("u3", None, ("i2",), "recent", "III"),
        ("stranger", None, ("i2",), "recent", "IV"),
        (None, None, ("i2",), "recent", "IV"),
        ("stranger", {"shoe": 44}, (), "popular", "IV"),
        ("stranger", None, ("unheard of",), "popular", "IV"),
    ],
)
def test_the_strategy_and_case_say_what_was_known(recommender, user_id, features, recent, strategy, case):
    stored = ask(recommender, user_id, UserState(features, tuple(RecentItem(item, NEW) for item in recent)))
    passed = ask(recommender, user_id, features=features, recent=recent)

    assert (stored.strategy, stored.case) == (passed.strategy, passed.case) == (strategy, case)


def test_each_item_of_an_answer_has_the_case_of_what_was_known_of_both():
    world = shared_world()
    bare = [entry(item_id)._replace(features={}) for item_id in ITEMS[:5]]
    recommender = world.recommender([*bare, *map(entry, ITEMS[5:]), entry("i100")])
    for user_id, state, known, cold, without in (
        ("u3", UserState(user_features("u3")), "I", "V", "IX"),
        ("stranger", UserState(user_features("u3")), "II", "VI", "X"),
        ("u3", UserState(), "III", "VII", "XI"),
        ("stranger", UserState(), "IV", "VIII", "XII"),
    ):
        found = {item.item_id: item.case for item in ask(recommender, user_id, state, k=99, exclude_seen=False).items}
        expected = dict.fromkeys(ITEMS[:5], without) | dict.fromkeys(ITEMS[5:], known) | {"i100": cold}

        assert found == expected


@pytest.mark.parametrize("indicators", INDICATORS)
def test_everyone_is_shown_their_own_kind_first(indicators):
    recommender = learned_world(indicators).recommender()
    for user_id in USERS:
        for asked in (user_id, "stranger"):
            answer = ask(recommender, asked, UserState(user_features(user_id)), k=5, exclude_seen=False)

            assert {parity(item) for item in ids(answer)} == {parity(user_id)}


def test_an_anonymous_session_is_shown_more_of_its_kind():
    recommender = learned_world().recommender()
    for clicked in (("i2", "i4"), ("i3", "i5")):
        found = ids(ask(recommender, None, recent=clicked, k=3))

        assert {parity(item) for item in found} == {parity(clicked[0])}
        assert not set(found) & set(clicked)


def test_what_a_user_has_seen_is_left_out_unless_asked_for(recommender):
    seen = set(recommender.snapshot.item_ids.ids_of(recommender.snapshot.learned_items("u3")))

    assert seen
    assert set(ids(ask(recommender, k=99))) == {*ITEMS, *COLD} - seen
    assert set(ids(ask(recommender, k=99, exclude_seen=False))) == {*ITEMS, *COLD}


def test_a_seen_item_stays_left_out_when_it_changes(recommender):
    seen = recommender.snapshot.item_ids.ids_of(recommender.snapshot.learned_items("u3"))[0]
    recommender.catalogue.apply([ItemChange(seen, item_features("i4"))], 1)

    assert seen not in ids(ask(recommender, k=99))


def test_an_interaction_that_the_snapshot_has_learned_is_not_folded_in_again(recommender):
    learned, fresh = (
        ask(recommender, "u3", UserState(None, (RecentItem("i2", offset),)), k=99) for offset in (OLD, NEW)
    )

    assert learned.strategy == "personalized"
    assert learned.items == ask(recommender, "u3", k=99, exclude=("i2",)).items
    assert fresh.strategy == "recent"


@pytest.mark.parametrize("offset", [OLD, NEW])
def test_recent_items_are_left_out_whatever_their_offsets(recommender, offset):
    """A store that has come back with less gives offsets of others until the trainer has looked."""
    assert "i2" in ids(ask(recommender, "u3", k=99))
    assert "i2" not in ids(ask(recommender, "u3", UserState(None, (RecentItem("i2", offset),)), k=99))


@pytest.mark.parametrize(("deleted_at", "strategy", "case"), [(NEW, "popular", "IV"), (OLD, "personalized", "III")])
def test_a_user_deleted_after_the_snapshot_is_unknown_again(recommender, deleted_at, strategy, case):
    answer = ask(recommender, "u3", UserState(deleted_at=deleted_at), k=99)

    assert (answer.strategy, answer.case) == (strategy, case)
    assert (set(ids(answer)) == {*ITEMS, *COLD}) == (deleted_at == NEW)


def test_a_deleted_user_who_comes_back_has_what_they_did_since(recommender):
    state = UserState(user_features("u3"), (RecentItem("i2", NEW + 1),), deleted_at=NEW)
    answer = ask(recommender, "u3", state, k=99)

    assert (answer.strategy, answer.case) == ("recent", "II")
    assert set(ids(answer)) == {*ITEMS, *COLD} - {"i2"}


def test_features_of_the_request_replace_the_stored_ones(recommender):
    state = UserState(user_features("u3"))

    assert ask(recommender, "u3", state, features={}).case == "III"
    assert ask(recommender, "stranger", state, features={"group": "g0"}).items == (
        ask(recommender, "stranger", UserState({"group": "g0"})).items
    )


def test_what_was_not_learned_is_named_once(recommender):
    answer = ask(recommender, "u3", UserState({"shoe": 44, "group": ["g1", "g7"], "colour": ["red", "red"]}))

    assert answer.ignored_features == ["shoe", "group=g7", "colour=red"]


def test_equal_scores_keep_catalogue_order():
    recommender = Recommender(Catalogue(shared_world().snapshot([entry(item_id) for item_id in ITEMS])))
    twins = [ItemChange(f"twin{number}", item_features("i4")) for number in range(20)]
    recommender.catalogue.apply(twins, 20)
    found = [item_id for item_id in ids(ask(recommender, "u3", k=99)) if item_id.startswith("twin")]

    assert found == [twin.item_id for twin in twins]


@pytest.mark.parametrize("user_id", ["u3", "stranger", None])
@pytest.mark.parametrize("indicators", INDICATORS)
def test_an_explanation_adds_up_to_the_score(indicators, user_id):
    recommender = changed(indicators)
    for state in (UserState(user_features("u3")), UserState(None, (RecentItem("i2", NEW),)), UserState()):
        for item in ask(recommender, user_id, state, k=99, explain=True).items:
            assert item.explanation
            assert sum(part.contribution for part in item.explanation) == pytest.approx(item.score, abs=1e-5)


def test_an_unknown_item_owes_nothing_to_its_identity(recommender):
    answer = ask(recommender, "u3", UserState(user_features("u3")), k=99, explain=True, candidates=COLD)

    assert len(answer.items) == 3
    assert all(part.feature != "item_id" for item in answer.items for part in item.explanation)


def test_without_a_fallback_only_a_user_of_whom_nothing_is_known_gets_nothing(recommender):
    nobody = ask(recommender, "stranger", fallback="none")

    assert (nobody.strategy, nobody.items) == ("none", [])
    assert ask(recommender, "u3", fallback="none").items
    assert ask(recommender, None, recent=("i2",), fallback="none").items


def test_popular_items_are_those_of_everyone(recommender):
    popular = recommender.popular(99)
    stranger = ask(recommender, None, k=99)

    assert [(item.item_id, item.score) for item in popular.items] == [(i.item_id, i.score) for i in stranger.items]
    assert {parity(item.item_id) for item in recommender.popular(99, ["group:g1"]).items} == {1}
    assert len(recommender.popular(3).items) == 3


def test_a_malformed_filter_is_refused(recommender):
    with pytest.raises(InvalidRequestError, match="genres:Comedy"):
        ask(recommender, filter=("genres",))


@pytest.mark.parametrize("item_id", ["i4", "i101", "fresh"])
def test_a_withdrawn_item_is_never_returned_until_it_comes_back(recommender, item_id):
    def shown() -> list[bool]:
        ranked = recommender.rank(RankQuery(items=((item_id, None),), user_id="u3"))
        return [
            item_id in ids(ask(recommender, "stranger", k=99)),
            item_id in ids(ask(recommender, "u4", k=99, candidates=(item_id,), exclude_seen=False)),
            item_id in [item.item_id for item in recommender.popular(99).items],
            bool(ranked.items),
            [(each.item_id, each.reason) for each in ranked.unscored] != [(item_id, WITHDRAWN)],
        ]

    recommender.catalogue.apply([ItemChange(item_id, item_features("i4"))], 1)
    assert all(shown())
    recommender.catalogue.apply([ItemChange(item_id, {}, available=False)], 2)
    assert not any(shown())
    recommender.catalogue.apply([ItemChange(item_id, item_features("i4"))], 3)
    assert all(shown())


def test_ranking_answers_all_sixteen_cases(recommender):
    things = (("i4", None), ("new", item_features("i4")), ("i4", {}), ("nothing", None))
    for user_id, state, expected in (
        ("u3", UserState(user_features("u3")), ["I", "V", "IX", "XIII"]),
        ("stranger", UserState(user_features("u3")), ["II", "VI", "X", "XIV"]),
        ("u3", UserState(), ["III", "VII", "XI", "XV"]),
        ("stranger", UserState(), ["IV", "VIII", "XII", "XVI"]),
    ):
        answer = [
            recommender.rank(RankQuery(items=(thing,), user_id=user_id, features=state.features)) for thing in things
        ]
        found = [each.case for ranking in answer for each in [*ranking.items, *ranking.unscored]]

        assert found == expected
        assert [len(ranking.items) for ranking in answer] == [1, 1, 1, 0]
        assert answer[3].unscored[0].reason == UNSCORED


def as_frame(world: World, user_id: str, features: Features) -> SparseFrame:
    return encoded(world.user_space, [user_id], lambda _: features)


@pytest.mark.parametrize("indicators", INDICATORS)
def test_ranking_is_predict_online_without_what_every_item_gets_from_the_user(indicators):
    world, recommender = shared_world(indicators), Recommender(Catalogue(shared_snapshot(indicators)))
    asked = ["i4", "i103", "i7", "nothing", "i0"]
    query = tuple((item_id, None if item_id == "nothing" else item_features(item_id)) for item_id in asked)
    for user_id, features in (("u3", user_features("u3")), ("u3", {}), ("stranger", user_features("u3")), ("x", {})):
        ranking = recommender.rank(RankQuery(items=query, user_id=user_id, features=features))
        item_frame, user_frame = world.items("i4", "i103", "i7", "i0"), as_frame(world, user_id, features)
        expected = world.model.predict_online(user_id, asked, item_frame, user_frame, use_baseline=True)

        bias = own_bias(recommender, user_id, features)
        assert {item.item_id: item.score + bias for item in ranking.items} == pytest.approx(
            expected.to_dict(), abs=1e-5
        )
        assert {each.item_id: each.case for each in [*ranking.items, *ranking.unscored]} == expected.attrs["cases"]
        assert [item.score for item in ranking.items] == sorted((i.score for i in ranking.items), reverse=True)


def test_ranked_equals_keep_the_order_of_the_query(recommender):
    twins = tuple((name, item_features("i4")) for name in ("b", "c", "a"))

    assert [item.item_id for item in recommender.rank(RankQuery(items=twins, user_id="u3")).items] == ["b", "c", "a"]


def test_ranking_an_item_that_cannot_be_scored_does_not_call_it_withdrawn(recommender):
    recommender.catalogue.apply([ItemChange("n0", {"shoe": "red"}), ItemChange("i100", {"shoe": "red"})], 2)
    ranking = recommender.rank(RankQuery(items=(("n0", None), ("i100", None)), user_id="u3"))

    assert [(each.case, each.reason) for each in ranking.unscored] == [("XV", UNSCORED)] * 2


def test_ranking_names_what_was_ignored_of_user_and_items(recommender):
    query = RankQuery(items=(("i4", {"group": "g0", "size": "xl"}),), user_id="u3", features={"shoe": 44})

    assert recommender.rank(query).ignored_features == ["shoe", "size=xl"]


def test_an_answer_names_its_model_and_itself(snapshot):
    recommender = Recommender(Catalogue(with_meta(snapshot, version="00000042")))
    one, other = ask(recommender), ask(recommender)
    [degraded] = recommender.recommend_many([Query()], [UserState()], ["features"])

    assert one.model_version == recommender.popular(1).model_version == "00000042"
    assert one.recommendation_id != other.recommendation_id
    assert (one.degraded, degraded.degraded) == ([], ["features"])
    assert one.items[0].title == f"Title of {one.items[0].item_id}"


AGAINST = [
    (Feedback({"hide": -1.0}), RecentItem("i2", NEW, 1.0, "hide")),
    (Feedback({"view": 0.0}), RecentItem("i2", NEW, 1.0, "view")),
    (Feedback(negative_below=3.0), RecentItem("i2", NEW, 2.0)),
    (Feedback(negative_below=3.0), RecentItem("i2", NEW, 1.0, "rating")),
]


@pytest.mark.parametrize(("feedback", "said"), AGAINST)
@pytest.mark.parametrize("user_id", ["u3", "stranger"])
def test_what_is_no_liking_excludes_its_item_and_moves_nothing_else(recommender, user_id, feedback, said):
    recommender = Recommender(recommender.catalogue, feedback=feedback)

    before = ask(recommender, user_id, k=99)
    after = ask(recommender, user_id, UserState(None, (said,)), k=99)

    assert after.strategy == before.strategy
    assert after.items == [each for each in before.items if each.item_id != "i2"]


def test_a_version_says_itself_which_interactions_are_likings(recommender):
    snapshot = recommender.snapshot
    meta = {**snapshot.meta, "feedback": Feedback({"hide": -1.0}).to_meta()}
    own = Recommender(Catalogue(with_meta(snapshot, **meta)))
    hidden = UserState(None, (RecentItem("i2", NEW, 1.0, "hide"),))

    assert ask(own, "stranger", hidden).strategy == "popular"
    assert ask(recommender, "stranger", hidden).strategy == "recent"


def test_older_recent_items_are_excluded_and_nothing_more(recommender):
    before = ask(recommender, "stranger", k=99)
    after = ask(recommender, "stranger", UserState(older=("i2",)), k=99)

    assert after.items == [each for each in before.items if each.item_id != "i2"]
