"""LFMRecommender learns: one path for fit and fit_partial, and growth that moves nothing."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightfm import LightFM
from scipy import sparse

from recommender import LFMRecommender, SparseFrame
from recommender.errors import InvalidDataError, MissingFeaturesError
from recommender.models.compiled_trainer import TABLES
from tests.support.known_worlds import INDICATORS, ITEMS, USERS, learned_world, make_world, parity

TINY = {"no_components": 4, "loss": "warp", "random_state": 3}
ALL_TABLES = [f"{what}_{table}" for what in ("user", "item") for table in TABLES]


def tables(model: LightFM) -> dict[str, np.ndarray]:
    return {name: getattr(model, name).copy() for name in ALL_TABLES}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in ALL_TABLES)


def stored(rows, columns, values: dict[tuple[int, int], float]) -> SparseFrame:
    """Frame that stores exactly these values, zeros included."""
    places = tuple(zip(*values, strict=True))
    return SparseFrame(rows, columns, sparse.csr_matrix((list(values.values()), places), (len(rows), len(columns))))


@pytest.mark.parametrize("indicators", INDICATORS)
def test_it_learns_who_likes_what(indicators):
    world = learned_world(indicators)
    for user in USERS:
        scores = world.model.predict_online(user, ITEMS, world.items(*ITEMS), world.users(user))
        liked = [scores[item] for item in ITEMS if parity(item) == parity(user)]
        others = [scores[item] for item in ITEMS if parity(item) != parity(user)]

        assert min(liked) > max(others)


@pytest.mark.parametrize("loss", ["warp", "bpr", "logistic", "warp-kos"])
def test_it_trains_as_lightfm_does_on_the_same_matrices(trained, loss):
    world, options = trained, {**TINY, "loss": loss}
    model = LFMRecommender(fit_with="lightfm", **options).fit(
        world.interactions, world.user_frame, world.item_frame, epochs=3
    )
    plain = LightFM(**options).fit(
        world.interactions.matrix.tocoo(),
        sparse.hstack([world.user_frame.matrix, sparse.identity(len(world.interactions.rows))], "csr"),
        sparse.hstack([world.item_frame.matrix, sparse.identity(len(world.interactions.columns))], "csr"),
        epochs=3,
    )

    assert list(model.users.ids) == list(world.interactions.rows)
    assert list(model.users.names) + list(model.items.names) == [*world.user_frame.columns, *world.item_frame.columns]
    assert same(tables(model), tables(plain))


def test_fit_is_fit_partial_from_zero(trained):
    world = trained
    one = LFMRecommender(**TINY).fit(world.interactions, world.user_frame, world.item_frame, epochs=4)
    other = LFMRecommender(**TINY).fit_partial(world.interactions, world.user_frame, world.item_frame, epochs=4)

    assert same(tables(one), tables(other))
    assert (one.popularity == other.popularity).all()
    assert (one.popularity_weights == other.popularity_weights).all()


def test_two_epochs_and_two_more_are_four(trained):
    world = trained
    straight = LFMRecommender(**TINY).fit(world.interactions, world.user_frame, epochs=4)
    resumed = LFMRecommender(**TINY).fit(world.interactions, world.user_frame, epochs=2)
    resumed.fit_partial(world.interactions, epochs=2)

    assert same(tables(straight), tables(resumed))


@pytest.mark.parametrize("seed", [3, np.int64(3)])
def test_fitting_again_forgets_and_repeats_itself(trained, seed):
    model = LFMRecommender(**{**TINY, "random_state": seed}).fit(trained.interactions, epochs=3)
    first = tables(model)
    model.fit(SparseFrame.from_interactions(["somebody"], ["something"]), SparseFrame(["somebody"], ["x"], [[1]]))
    model.fit(trained.interactions, epochs=3)

    assert same(first, tables(model))
    assert "somebody" not in model.users.ids
    assert "x" not in model.users.names
    assert model.popularity.sum() == trained.interactions.matrix.sum()


def test_its_parameters_build_an_equal_untrained_recommender(trained):
    model = LFMRecommender("users", **TINY).fit(trained.interactions, item_features=trained.item_frame)
    twin = LFMRecommender(**model.get_params()).fit(trained.interactions, item_features=trained.item_frame)

    assert twin.get_params() == model.get_params()
    assert same(tables(twin), tables(model))
    assert json.loads(json.dumps(LFMRecommender(**TINY).get_params()))["indicators"] == "both"


@pytest.mark.parametrize("schedule", ["adagrad", "adadelta"])
@pytest.mark.parametrize("indicators", INDICATORS)
def test_old_scores_keep_every_bit_while_others_join(indicators, schedule):
    world = make_world(indicators, learning_schedule=schedule)
    model = world.model

    def old_scores() -> np.ndarray:
        return np.stack([model.predict_online(u, ITEMS, world.items(*ITEMS), world.users(u)) for u in USERS])

    before, old_tables = old_scores(), tables(model)
    newcomers = SparseFrame.from_interactions(["new", "u3", "newer"], ["gadget", "gadget", "i4"])
    users = SparseFrame(["new", "newer"], ["planet=mars", "group=g0"], np.ones((2, 2)))
    items = SparseFrame(["gadget"], ["tags=all", "colour=red"], np.ones((1, 2)))
    answer = model.fit_partial(newcomers, users, items, epochs=0)

    assert answer is model
    assert np.array_equal(old_scores(), before)
    assert all(np.array_equal(getattr(model, name)[: len(old)], old) for name, old in old_tables.items())
    assert {"new", "newer"} < set(model.users.ids)
    assert "planet=mars" in model.users.names
    assert "colour=red" in model.items.names
    assert model.baseline(["gadget"], items)["gadget"] == 2 or indicators in ("users", False)


@pytest.mark.parametrize("schedule", ["adagrad", "adadelta"])
def test_rows_that_join_begin_as_lightfm_begins(schedule):
    model = LFMRecommender(**{**TINY, "learning_schedule": schedule})
    model.fit(SparseFrame.from_interactions(["u"], ["i"]))
    model.fit_partial(SparseFrame.from_interactions(["v"] * 50, [f"j{n}" for n in range(50)]), epochs=0)
    fresh = LFMRecommender(**{**TINY, "learning_schedule": schedule})
    fresh.fit(SparseFrame.from_interactions(["v"] * 50, [f"j{n}" for n in range(50)]), epochs=0)
    noise = model.item_embeddings[1:]

    assert noise.shape == (50, 4)
    assert len(np.unique(noise)) == noise.size
    assert (np.abs(noise) <= 0.5 / 4).all()
    for table in TABLES[1:]:
        assert np.array_equal(getattr(model, f"item_{table}")[1:], getattr(fresh, f"item_{table}"))
        assert getattr(model, f"item_{table}").dtype == np.float32


def test_training_goes_on_after_growing():
    world = make_world(epochs=20)
    users = [f"u{n}" for n in range(50, 56)]
    pairs = [(user, item) for user in users for item in ITEMS if parity(user) == parity(item)]
    world.model.fit_partial(SparseFrame.from_interactions(*zip(*pairs, strict=True)), world.users(*users), epochs=20)
    for user in users:
        scores = world.model.predict_online(user, ITEMS, world.items(*ITEMS), world.users(user))
        liked = [scores[item] for item in ITEMS if parity(item) == parity(user)]

        assert min(liked) > max(scores[item] for item in ITEMS if parity(item) != parity(user))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20), st.integers(0, 20))
def test_learning_in_two_steps_knows_what_learning_in_one_knows(pairs, cut):
    users, items = [f"u{u}" for u, _ in pairs], [f"i{i}" for _, i in pairs]
    one = LFMRecommender(**TINY).fit(SparseFrame.from_interactions(users, items))
    two = LFMRecommender(**TINY)
    for part in (slice(0, cut), slice(cut, None)):
        two.fit_partial(SparseFrame.from_interactions(users[part], items[part]))

    assert list(two.users.ids) == list(one.users.ids)
    assert list(two.items.ids) == list(one.items.ids)
    assert two.popularity.tolist() == one.popularity.tolist()
    assert two.popularity_weights == pytest.approx(one.popularity_weights)


def test_those_without_interactions_become_no_training_rows():
    frame = SparseFrame(["u", "idle"], ["i", "unseen"], np.array([[1, 0], [0, 0]]))
    features = SparseFrame(["i", "unseen"], ["a", "b"], np.eye(2))
    model = LFMRecommender(**TINY).fit(frame, item_features=features)

    assert list(model.users.ids) == ["u"]
    assert list(model.items.ids) == ["i"]
    assert list(model.items.names) == ["a"]
    assert len(model.item_embeddings) == 2
    assert model.items.rows().shape == (1, 2)


def test_a_stored_zero_is_no_interaction():
    model = LFMRecommender(**TINY).fit(stored(["u", "v"], ["i", "j"], {(0, 0): 1, (0, 1): 0, (1, 0): 0}))

    assert list(model.users.ids) == ["u"]
    assert list(model.items.ids) == ["i"]
    assert model.popularity.tolist() == [1]


LIKED = {(0, 0): 1, (0, 1): 1, (1, 2): 1, (1, 3): 1}
MASKED = {(0, 2): 0, (0, 3): 0, (1, 0): 0, (1, 1): 0}


@pytest.mark.parametrize(("values", "learned"), [(LIKED, True), (LIKED | MASKED, False)])
def test_a_stored_zero_is_never_drawn_as_a_counter_example(values, learned):
    model = LFMRecommender(**TINY).fit(stored(list("uv"), list("ijkl"), LIKED), epochs=0)
    before = tables(model)
    # with the mask, no item is left that could be a counter-example
    model.fit_partial(stored(list("uv"), list("ijkl"), values), epochs=20)

    assert same(before, tables(model)) != learned


def test_a_dislike_is_not_popular():
    frame = SparseFrame(["u", "v"], ["i", "j"], np.array([[1, -1], [-1, 1]]))
    model = LFMRecommender(**{**TINY, "loss": "logistic"}).fit(frame, epochs=20)

    assert model.popularity.tolist() == [1, 1]
    assert model.predict_online("u")["i"] > model.predict_online("u")["j"]


def test_nothing_at_all_may_be_learned_and_then_something():
    model = LFMRecommender(**TINY).fit(SparseFrame([], [], sparse.csr_matrix((0, 0))))
    model.fit_partial(SparseFrame.from_interactions(["u"], ["i"]))

    assert list(model.predict_online("u").index) == ["i"]


def test_a_new_row_of_features_replaces_the_old_one_and_others_stay():
    pairs = SparseFrame.from_interactions(["u", "v"], ["i", "i"])
    model = LFMRecommender(**TINY).fit(pairs, SparseFrame(["u", "v"], ["a", "b"], np.eye(2)))
    model.fit_partial(SparseFrame.from_interactions(["v"], ["i"]), SparseFrame(["u"], ["b", "c"], np.ones((1, 2))))
    rows = model.users.features.toarray()

    assert list(model.users.names) == ["a", "b", "c"]
    assert rows[model.users.ids.index_of("u")].tolist() == [0, 1, 1]
    assert rows[model.users.ids.index_of("v")].tolist() == [0, 1, 0]


def test_features_in_another_order_are_the_same_features(trained):
    world = trained
    shuffled = world.item_frame.reindex(list(world.item_frame.rows)[::-1], list(world.item_frame.columns)[::-1])
    one, other = (
        LFMRecommender(**TINY).fit(world.interactions, item_features=each, epochs=0)
        for each in (world.item_frame, shuffled)
    )

    assert sorted(one.items.names) == sorted(other.items.names)
    places = other.items.names.indices_of(list(one.items.names))
    assert (one.items.features.toarray() == other.items.features.toarray()[:, places]).all()


def test_a_feature_with_weight_zero_is_not_learned():
    zero = stored(["u"], ["a"], {(0, 0): 0})
    model = LFMRecommender(**TINY).fit(SparseFrame.from_interactions(["u"], ["i"]), zero)

    assert list(model.users.names) == []


def test_what_the_caller_passes_is_not_changed():
    def frame(rows, columns):
        frame = SparseFrame(rows, columns, np.eye(3))
        frame.matrix.data.flags.writeable = frame.matrix.indices.flags.writeable = False
        return frame

    theirs = sparse.coo_array(np.eye(3))
    pairs = SparseFrame(["a", "b", "c"], ["x", "y", "z"], theirs)
    pairs.matrix.data.flags.writeable = False
    weights = frame(["a", "b", "c"], ["x", "y", "z"])
    users, items = frame(["c", "b", "a"], ["p", "q", "r"]), frame(["z", "y", "x"], ["p", "q", "r"])
    LFMRecommender(**TINY).fit(pairs, users, items, weights, epochs=3)

    assert theirs.dtype == np.float64
    for each in (pairs, weights, users, items):
        assert (each.matrix.toarray() == np.eye(3)).all()
        assert each.matrix.dtype == np.float32


@pytest.mark.parametrize("chosen", [("u", "i"), ("v", "j"), ("w", "k")])
def test_only_an_interaction_with_weight_is_learned_from(chosen):
    ids = SparseFrame.from_interactions(["w", "u", "v"], ["j", "k", "i"])  # the model's order is not the caller's
    model = LFMRecommender(**{**TINY, "loss": "logistic"}).fit(ids, epochs=0)
    before = tables(model)
    pairs = SparseFrame(["u", "v", "w"], ["i", "j", "k"], np.eye(3))
    alone = SparseFrame(["u", "v", "w"], ["i", "j", "k"], np.diag([float(user == chosen[0]) for user in "uvw"]))
    model.fit_partial(pairs, sample_weight=alone, epochs=3)
    after = tables(model)

    for what, side, moved in (("user", model.users, chosen[0]), ("item", model.items, chosen[1])):
        changed = np.flatnonzero((before[f"{what}_embeddings"] != after[f"{what}_embeddings"]).any(axis=1))
        assert changed.tolist() == [side.indicator_columns[side.ids.index_of(moved)]]


def test_weights_of_one_are_no_weights(trained):
    ones = SparseFrame(trained.interactions.rows, trained.interactions.columns, trained.interactions.matrix.sign())
    one = LFMRecommender(**TINY).fit(trained.interactions, epochs=3)
    other = LFMRecommender(**TINY).fit(trained.interactions, sample_weight=ones, epochs=3)

    assert same(tables(one), tables(other))


def test_weights_of_nothing_are_accepted():
    nothing = SparseFrame(["u"], ["i"], np.zeros((1, 1)))

    assert len(LFMRecommender(**TINY).fit(nothing, sample_weight=nothing).users.ids) == 0


@pytest.mark.parametrize(("rows", "columns"), [("vu", "ij"), ("uv", "ji"), ("uvw", "ij")])
def test_weights_of_other_rows_or_columns_are_refused(rows, columns):
    pairs = SparseFrame.from_interactions(["u", "v"], ["i", "j"])
    weights = SparseFrame(list(rows), list(columns), np.ones((len(rows), len(columns))))

    with pytest.raises(InvalidDataError, match="same order"):
        LFMRecommender(**TINY).fit(pairs, sample_weight=weights)


def test_popularity_is_the_sum_of_weights():
    model = LFMRecommender(**TINY)
    model.fit(SparseFrame.from_interactions(["u", "v", "u"], ["i", "i", "j"], [1, 2, 3.5]))
    model.fit_partial(SparseFrame.from_interactions(["w", "w"], ["k", "i"], [1, 1]))

    assert model.baseline(["k", "j", "i"]).to_dict() == {"k": 1, "j": 3.5, "i": 4}


@pytest.mark.parametrize(
    ("indicators", "lacking"), [("users", "item"), ("items", "user"), (False, "user"), (False, "item")]
)
def test_a_side_without_indicators_needs_features(indicators, lacking):
    features = {
        "user": SparseFrame(["u"], ["a"], np.ones((1, 1))),
        "item": SparseFrame(["i"], ["a"], np.ones((1, 1))),
    }
    given_features = {f"{what}_features": None if what == lacking else frame for what, frame in features.items()}

    with pytest.raises(MissingFeaturesError, match=f"{lacking}_features"):
        LFMRecommender(indicators, **TINY).fit(SparseFrame.from_interactions(["u"], ["i"]), **given_features)


def test_a_refused_step_leaves_the_recommender_as_it_was():
    model = LFMRecommender("users", **TINY)
    pairs = SparseFrame.from_interactions(["u"], ["i"])
    with pytest.raises(MissingFeaturesError):
        model.fit_partial(pairs)

    assert len(model.users.ids) == 0
    model.fit_partial(pairs, item_features=SparseFrame(["i"], ["a"], np.ones((1, 1))))
    assert model.predict_online("u", ["i"], SparseFrame(["i"], ["a"], np.ones((1, 1)))).size == 1


@pytest.mark.parametrize("setting", ["everyone", True, None, "user"])
def test_a_malformed_setting_is_refused(setting):
    with pytest.raises(InvalidDataError, match="indicators"):
        LFMRecommender(setting)
