"""Learning: one path for fit and fit_partial, and growing without moving anything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import ITEMS, USERS, checkerboard, item_features, make_world

from recommender import LFMRecommender, SparseFrame
from recommender.errors import InvalidDataError, MissingFeaturesError

TABLES = [f"{what}_{table}" for what in ("user", "item") for table in ("embeddings", "biases", "embedding_gradients")]


def interactions() -> SparseFrame:
    return SparseFrame.from_interactions(*checkerboard())


def scores(model: LFMRecommender) -> np.ndarray:
    return np.stack([model.predict_online(user, ITEMS).to_numpy() for user in USERS])


def test_it_learns_the_checkerboard():
    world = make_world(epochs=40)
    like = (np.arange(len(USERS))[:, None] + np.arange(len(ITEMS))) % 2 == 0
    right_order = []
    for user, mine in zip(USERS, like, strict=True):
        scores = world.model.predict_online(user, ITEMS, world.item_frame, world.user_frame.reindex(rows=[user]))
        own = scores.to_numpy()
        right_order.append(np.mean(own[mine][:, None] > own[~mine]))

    assert np.mean(right_order) > 0.95


def test_fit_is_fit_partial_from_zero():
    one = LFMRecommender(no_components=4, loss="warp", random_state=3).fit(interactions(), epochs=4)
    other = LFMRecommender(no_components=4, loss="warp", random_state=3).fit_partial(interactions(), epochs=4)

    assert all((getattr(one, table) == getattr(other, table)).all() for table in TABLES)


def test_fitting_again_forgets_and_repeats_itself():
    model = LFMRecommender(no_components=4, loss="warp", random_state=3).fit(interactions(), epochs=3)
    first = scores(model)
    model.fit(SparseFrame.from_interactions(["somebody"], ["something"]))
    model.fit(interactions(), epochs=3)

    assert (scores(model) == first).all()
    assert "somebody" not in model.users.ids


@pytest.mark.parametrize("indicators", ["both", "users", "items", False])
@pytest.mark.parametrize("schedule", ["adagrad", "adadelta"])
def test_old_scores_keep_every_bit_while_others_join(indicators, schedule):
    world = make_world(indicators, epochs=2)
    model = world.model
    model.learning_schedule = schedule
    known_users, known_items = list(model.users.ids), list(model.items.ids)

    def old_scores():
        return np.stack(
            [
                model.predict_online(
                    user, known_items, world.item_frame, world.user_frame.reindex(rows=[user])
                ).to_numpy()
                for user in known_users
            ]
        )

    before = old_scores()
    more_users = SparseFrame(["new"], ["group=g0", "planet=mars"], np.ones((1, 2)))
    more_items = SparseFrame(["gadget"], ["tags=all", "planet=mars"], np.ones((1, 2)))
    joined = model.fit_partial(SparseFrame.from_interactions(["new"], ["gadget"]), more_users, more_items, epochs=0)

    assert joined is model
    assert (old_scores() == before).all()
    assert "new" in model.users.ids
    assert "planet=mars" in model.items.names
    model.fit_partial(SparseFrame.from_interactions(["new"], ["gadget"]), epochs=1)
    assert np.isfinite(old_scores()).all()


def test_those_without_interactions_do_not_join():
    frame = SparseFrame(["u", "idle"], ["i", "unseen"], np.array([[1, 0], [0, 0]]))
    model = LFMRecommender(no_components=2, loss="warp").fit(frame)

    assert list(model.users.ids) == ["u"]
    assert list(model.items.ids) == ["i"]


def test_a_value_of_zero_is_no_interaction():
    matrix = SparseFrame.from_interactions(["u", "u"], ["i", "j"])
    matrix.matrix.data[:] = [1, 0]
    model = LFMRecommender(no_components=2, loss="warp").fit(matrix)

    assert list(model.items.ids) == ["i"]


def test_features_that_only_strangers_have_are_not_learned():
    users = SparseFrame(["u", "stranger"], ["a", "b"], np.eye(2))
    model = LFMRecommender(no_components=2, loss="warp").fit(SparseFrame.from_interactions(["u"], ["i"]), users)

    assert list(model.users.names) == ["a"]


def test_a_new_row_of_features_replaces_the_old_one_and_others_stay():
    model = LFMRecommender(no_components=2, loss="warp")
    pairs = SparseFrame.from_interactions(["u", "v"], ["i", "i"])
    model.fit(pairs, SparseFrame(["u", "v"], ["a", "b"], np.eye(2)))
    model.fit_partial(pairs, SparseFrame(["u"], ["b", "c"], np.ones((1, 2))))

    kept = model.users.features.toarray()
    assert dict(zip(model.users.names, kept[model.users.ids.index_of("u")], strict=True)) == {"a": 0, "b": 1, "c": 1}
    assert dict(zip(model.users.names, kept[model.users.ids.index_of("v")], strict=True)) == {"a": 0, "b": 1, "c": 0}


def test_what_the_caller_passes_is_not_changed():
    matrix = np.eye(3, dtype=np.float64)
    frame = SparseFrame(["a", "b", "c"], ["x", "y", "z"], matrix)
    LFMRecommender(no_components=2, loss="warp").fit(frame, epochs=2)

    assert matrix.dtype == np.float64
    assert (matrix == np.eye(3)).all()
    assert (frame.matrix.toarray() == np.eye(3)).all()


def test_weights_belong_to_their_interactions():
    pairs = SparseFrame.from_interactions(["u", "u", "v", "v"], ["i", "j", "i", "j"])
    heavy = SparseFrame(pairs.rows, pairs.columns, np.array([[1.0, 0.001], [1.0, 0.001]]))
    model = LFMRecommender(no_components=4, loss="logistic", random_state=0, learning_rate=0.1)
    model.fit(pairs, sample_weight=heavy, epochs=20)
    scores = model.predict_online("u", ["i", "j"])

    assert scores["i"] > scores["j"]


def test_weights_of_other_rows_are_refused():
    pairs = SparseFrame.from_interactions(["u", "v"], ["i", "j"])
    with pytest.raises(InvalidDataError, match="same order"):
        LFMRecommender().fit(pairs, sample_weight=SparseFrame(["v", "u"], ["i", "j"], np.ones((2, 2))))


def test_popularity_is_the_sum_of_weights():
    model = LFMRecommender(no_components=2, loss="warp")
    model.fit(SparseFrame.from_interactions(["u", "v", "u"], ["i", "i", "j"], [1, 2, 3]))

    assert model.baseline(["i", "j"]).to_dict() == {"i": 3.0, "j": 3.0}


def test_one_side_may_learn_from_features_alone():
    items = SparseFrame(ITEMS, ["odd", "even"], [[int(i[1:]) % 2, 1 - int(i[1:]) % 2] for i in ITEMS])
    model = LFMRecommender("users", no_components=4, loss="warp", random_state=0)
    model.fit(interactions(), item_features=items, epochs=20)

    assert model.predict_online("u1", ["i3"], items)["i3"] > model.predict_online("u1", ["i4"], items)["i4"]
    with pytest.raises(MissingFeaturesError):
        LFMRecommender("users").fit(interactions())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20), st.integers(0, 100))
def test_learning_in_two_steps_knows_what_learning_in_one_knows(pairs, cut):
    cut %= len(pairs)
    users, items = [f"u{u}" for u, _ in pairs], [f"i{i}" for _, i in pairs]
    one = LFMRecommender(no_components=2, loss="warp").fit(SparseFrame.from_interactions(users, items))
    two = LFMRecommender(no_components=2, loss="warp")
    for part in (slice(0, cut), slice(cut, None)):
        if users[part]:
            two.fit_partial(SparseFrame.from_interactions(users[part], items[part]))

    assert set(one.users.ids) == set(two.users.ids)
    assert one.baseline(sorted(set(items))).to_dict() == two.baseline(sorted(set(items))).to_dict()


def test_item_features_help_an_item_that_nobody_has_seen():
    world = make_world("users", epochs=40)
    cold = SparseFrame(["i101"], world.item_space.names, world.item_space.encode_many([item_features("i101")]))
    even, odd = (world.model.predict_online(user, ["i101"], cold)["i101"] for user in ("u2", "u3"))
    like_even, like_odd = (world.model.predict_online(user, ["i0"], world.item_frame)["i0"] for user in ("u2", "u3"))

    assert odd - like_odd > even - like_even
