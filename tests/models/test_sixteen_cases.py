"""predict_online: the sixteen cases, and the faults of the original class."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recommender import LFMRecommender, SparseFrame
from recommender.cases import NUMERALS
from recommender.errors import NotFittedError, UnknownUserError
from tests.support.known_worlds import (
    INDICATORS,
    ITEMS,
    USERS,
    World,
    add_up,
    case_of,
    encoded,
    item_features,
    learned_world,
    parity,
    shared_world,
    user_features,
    weights_of,
)

USER_KINDS = {"known": "u3", "unknown": "stranger"}
ITEM_KINDS = {"known": "i4", "unknown": "novelty"}


def frame_of(world: World, what: str, an_id: str) -> SparseFrame:
    """Features for one id, those of a known one for a stranger."""
    space, features = (
        (world.user_space, user_features("u3")) if what == "user" else (world.item_space, item_features("i4"))
    )
    return encoded(space, [an_id], lambda _: features)


@pytest.mark.parametrize("indicators", INDICATORS)
@pytest.mark.parametrize("user", USER_KINDS)
@pytest.mark.parametrize("user_has", [True, False])
@pytest.mark.parametrize("item", ITEM_KINDS)
@pytest.mark.parametrize("item_has", [True, False])
def test_each_case_is_scored_by_exactly_the_rows_that_exist(indicators, user, user_has, item, item_has):
    world = shared_world(indicators)
    user_id, item_id = USER_KINDS[user], ITEM_KINDS[item]
    user_frame = frame_of(world, "user", user_id) if user_has else None
    item_frame = frame_of(world, "item", item_id) if item_has else None
    own = add_up(world.model, "user", user_id, weights_of(user_frame, user_id) if user_has else None)
    other = add_up(world.model, "item", item_id, weights_of(item_frame, item_id) if item_has else None)
    case = case_of(own, other)
    scores = world.model.predict_online(user_id, [item_id], item_frame, user_frame, use_baseline=True)

    assert scores.attrs["cases"] == {item_id: case}
    if case in ("XIII", "XIV", "XV", "XVI"):
        assert scores.empty
        assert list(scores.attrs["unscored"]) == [item_id]
    elif case in ("IV", "VIII", "XII"):
        assert scores.to_dict() == world.model.baseline([item_id], item_frame).to_dict()
        assert scores[item_id] > 0
    else:
        assert scores[item_id] == pytest.approx(own.vector @ other.vector + own.bias + other.bias, abs=1e-6)
        assert scores.attrs["unscored"] == {}


def test_with_indicators_on_both_sides_all_sixteen_occur():
    world = shared_world("both")
    found = set()
    for user_id in USER_KINDS.values():
        for user_frame in (frame_of(world, "user", user_id), None):
            for item_id in ITEM_KINDS.values():
                for item_frame in (frame_of(world, "item", item_id), None):
                    scores = world.model.predict_online(user_id, [item_id], item_frame, user_frame, use_baseline=True)
                    found |= set(scores.attrs["cases"].values())

    assert found == set(NUMERALS)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(INDICATORS), st.sampled_from(USERS), st.lists(st.sampled_from(ITEMS), max_size=15))
def test_a_subset_in_any_order_scores_as_the_whole_does(indicators, user_id, chosen):
    world = shared_world(indicators)
    user = world.users(user_id)
    whole = world.model.predict_online(user_id, ITEMS, world.items(*ITEMS), user)
    part = world.model.predict_online(user_id, chosen, world.items(*sorted(set(chosen), reverse=True)), user)

    assert list(part.index) == chosen
    assert part.tolist() == [whole[item_id] for item_id in chosen]


def test_features_of_items_that_were_not_asked_for_change_nothing(trained):
    alone = trained.model.predict_online("u3", ["i4"], trained.items("i4"))
    among = trained.model.predict_online("u3", ["i4"], trained.items("i9", "i4", "i33"))

    assert alone.to_dict() == among.to_dict()


def test_new_features_count_at_once(trained):
    other = encoded(trained.item_space, ["i4"], lambda _: item_features("i5"))
    first = trained.model.predict_online("u3", ["i4"], trained.items("i4"))
    changed = trained.model.predict_online("u3", ["i4"], other)
    again = trained.model.predict_online("u3", ["i4"], trained.items("i4"))

    assert changed["i4"] != first["i4"]
    assert again["i4"] == first["i4"]


def test_new_weights_count_at_once(world):
    before = world.model.predict_online("u3", ITEMS, world.items(*ITEMS))
    world.model.fit_partial(SparseFrame.from_interactions(["u3"] * 3, ["i0", "i2", "i4"]), epochs=5)
    after = world.model.predict_online("u3", ITEMS, world.items(*ITEMS))
    own = add_up(world.model, "user", "u3", None)

    assert (before != after).any()
    for item_id in ITEMS:
        other = add_up(world.model, "item", item_id, weights_of(world.items(item_id), item_id))
        assert after[item_id] == pytest.approx(own.vector @ other.vector + own.bias + other.bias, abs=1e-6)


def test_asking_changes_nothing(world):
    before = {name: np.copy(table) for name, table in vars(world.model).items() if isinstance(table, np.ndarray)}
    state = world.model.random_state.get_state()[1].tolist()
    world.model.predict_online("stranger", ["novelty", "i4"], world.items("i4"), use_baseline=True)
    world.model.predict_online("u3")

    assert all(np.array_equal(getattr(world.model, name), table) for name, table in before.items())
    assert world.model.random_state.get_state()[1].tolist() == state
    assert "stranger" not in world.model.users.ids


@pytest.mark.parametrize("indicators", ["items", False])
def test_nobody_is_ever_scored_as_the_first_row_of_the_table(indicators):
    world = shared_world(indicators)
    for user_id in ("stranger", "u3"):  # without user indicators nothing is known of u3 but its features
        with pytest.raises(UnknownUserError, match=user_id):
            world.model.predict_online(user_id, ITEMS, world.items(*ITEMS))
        baseline = world.model.predict_online(user_id, ITEMS, world.items(*ITEMS), use_baseline=True)

        assert baseline.to_dict() == dict(zip(world.model.items.ids, world.model.popularity.tolist(), strict=True))


@pytest.mark.parametrize("indicators", INDICATORS)
def test_features_that_were_not_learned_make_nobody_known(indicators):
    world = shared_world(indicators)
    strange = SparseFrame(["stranger"], ["shoe=44"], np.ones((1, 1)))
    silent = SparseFrame(["stranger"], ["group=g0"], sparse.csr_matrix(([0.0], ([0], [0])), (1, 1)))
    absent = world.users("u3")
    for frame in (strange, silent, absent, None):
        with pytest.raises(UnknownUserError):
            world.model.predict_online("stranger", ITEMS, world.items(*ITEMS), frame)


@pytest.mark.parametrize("indicators", ["users", False])
def test_items_without_indicators_and_features_are_unscored(indicators):
    world = shared_world(indicators)
    scores = world.model.predict_online("u3", ["i4", "i5"], world.items("i5"), world.users("u3"))

    assert list(scores.index) == ["i5"]
    assert list(scores.attrs["unscored"]) == ["i4"]


def test_the_baseline_is_for_exactly_the_asked_items(trained):
    asked = ["i4", "nothing", "i100", "i1"]
    scores = trained.model.predict_online("stranger", asked, trained.items("i100", "i7"), use_baseline=True)
    counts = dict(zip(trained.model.items.ids, trained.model.popularity.tolist(), strict=True))

    assert list(scores.index) == ["i4", "i100", "i1"]
    assert (scores["i4"], scores["i1"]) == (counts["i4"], counts["i1"])
    assert scores.attrs["cases"] == {"i4": "XII", "nothing": "XVI", "i100": "VIII", "i1": "XII"}


def test_an_unknown_item_is_promised_the_popularity_of_its_kind():
    hits, misses = [f"h{n}" for n in range(20)], [f"m{n}" for n in range(20)]
    users = [f"u{n}" for n in range(10)]
    pairs = [(user, item) for user in users for item in hits] + [("u0", item) for item in misses]
    kinds = SparseFrame([*hits, *misses], ["hit", "miss"], [[i[0] == "h", i[0] == "m"] for i in [*hits, *misses]])
    model = LFMRecommender(no_components=2, loss="warp", random_state=0)
    model.fit(SparseFrame.from_interactions(*zip(*pairs, strict=True)), item_features=kinds, epochs=1)
    cold = SparseFrame(["new hit", "new miss"], ["hit", "miss"], np.eye(2))
    promised = model.predict_online("stranger", ["new hit", "new miss"], cold, use_baseline=True)

    assert promised["new hit"] == pytest.approx(10, rel=0.2)
    assert promised["new miss"] == pytest.approx(1, rel=0.2)


def test_an_unknown_item_is_liked_by_those_who_like_its_kind():
    world = learned_world()
    for user in USERS:
        cold = world.model.predict_online(user, ["i100", "i103"], world.items("i100", "i103"), world.users(user))

        assert cold.idxmax() == ("i103" if parity(user) else "i100")


def test_columns_that_were_not_learned_are_ignored_and_named(trained):
    known, strange = SparseFrame(["u3"], ["group=g1"], [[1]]), SparseFrame(["u3"], ["shoe=44", "group=g1"], [[1, 1]])
    things = SparseFrame(["i4"], ["size=xl"], [[1]])
    scores = trained.model.predict_online("u3", ["i4"], things, strange)

    assert scores.attrs["ignored_features"] == ["shoe=44", "size=xl"]
    assert scores.attrs["cases"] == {"i4": "IX"}
    assert scores["i4"] == trained.model.predict_online("u3", ["i4"], None, known)["i4"]


def test_all_known_items_are_scored_when_none_are_named(trained):
    scores = trained.model.predict_online("u3")

    assert list(scores.index) == list(trained.model.items.ids)
    assert scores.name == "score"


@pytest.mark.parametrize("asked", [[], ["novelty"]])
def test_nothing_to_score_is_no_error(trained, asked):
    assert trained.model.predict_online("u3", asked).empty
    assert trained.model.predict_online("stranger", asked, use_baseline=True).empty


def test_more_threads_give_the_same_scores(trained):
    one = trained.model.predict_online("u3", ITEMS, trained.items(*ITEMS), trained.users("u3"), 1)
    two = trained.model.predict_online("u3", ITEMS, trained.items(*ITEMS), trained.users("u3"), 2)

    assert one.tolist() == two.tolist()


def test_an_untrained_recommender_says_so():
    for ask in (
        lambda model: model.predict_online("u", ["i"]),
        lambda model: model.baseline(["i"]),
        lambda model: model.popularity_weights,
    ):
        with pytest.raises(NotFittedError, match="fit"):
            ask(LFMRecommender())
