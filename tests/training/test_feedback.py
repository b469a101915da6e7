"""Feedback: events and ratings weigh, and what is not liked is neither learned, nor a chance example, nor returned."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.errors import TrainingError
from recommender.ids import IdTable
from recommender.models.feedback import Feedback, disliked, loss_weights, select_likings, split_joining
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.schema import Query
from recommender.serving.batch import BatchRecommender
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Rows, Snapshot, without
from recommender.sparse_frame import SparseFrame
from recommender.training.full import Trained, TrainingData, fit, train_full
from recommender.training.incremental import IncrementSettings, News, train_increment
from recommender.training.model_settings import ModelSettings
from recommender.training.promotion_gate import Verdict
from recommender.training.snapshot_builder import CatalogueEntry

META = {"version": "1", "log_offset": 0, "items_sequence": 0}
SETTINGS = ModelSettings(no_components=6, epochs=10, learning_rate=0.1)


def log(*rows: tuple) -> pd.DataFrame:
    """User, item, weight and event, a second apart."""
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "weight", "event"])
    return frame.assign(
        weight=frame["weight"].astype(np.float32), timestamp=np.arange(len(rows), dtype=float), offset=0
    )


def test_events_multiply_weights_and_unnamed_ones_leave_them():
    feedback = Feedback({"view": 0.5, "hide": -1, "impression": 0})
    said = feedback.weighed(
        log(
            ("u", "a", 2, "view"),
            ("u", "b", 3, "buy"),
            ("u", "c", 4, None),
            ("u", "d", 2, "hide"),
            ("u", "e", 1, "impression"),
        )
    )

    assert said["weight"].tolist() == [1, 3, 4, -2, 0]
    assert said["weight"].dtype == np.float32


@pytest.mark.parametrize("factors", [{"view": 0.5, "buy": 0.5}, {"view": 0.5, "buy": 2.0}, {}])
def test_texts_that_are_categories_as_the_archive_has_them_are_read_alike(factors):
    plain = log(("u", "a", 2, "view"), ("u", "b", 3, "buy"), ("v", "b", 1, None), ("v", "a", -1, "view"))
    coded = plain.astype(dict.fromkeys(("user_id", "item_id", "event"), "category"))
    feedback = Feedback(factors, negative_below=1.5)
    both = [feedback.weighed(each) for each in (plain, coded)]

    assert both[0]["weight"].tolist() == both[1]["weight"].tolist()
    for parts in zip(*map(split_joining, both), strict=True):
        assert parts[0]["item_id"].tolist() == parts[1]["item_id"].tolist()
    assert disliked(both[0])["item_id"].tolist() == disliked(both[1])["item_id"].tolist()


def test_low_ratings_speak_against_by_how_far_they_are_below_and_clicks_are_no_ratings():
    said = Feedback(negative_below=3).weighed(
        log(("u", "a", 1, None), ("u", "b", 2, "rating"), ("u", "c", 3, "rating"), ("u", "d", 1, "click"))
    )

    assert said["weight"].tolist() == [-2, -1, 3, 1]


def test_a_low_rating_does_not_become_a_liking_by_an_event_that_speaks_against():
    said = Feedback({"rating": -1}, negative_below=3).weighed(log(("u", "a", 1, "rating")))

    assert said["weight"].tolist() == [-2]


def test_without_settings_nothing_changes_and_events_need_not_be_there():
    plain = log(("u", "a", 2, "view")).drop(columns="event")

    assert Feedback().weighed(plain) is plain
    assert Feedback({"view": 0.1}).weighed(plain)["weight"].tolist() == [2]


def test_the_sum_over_a_pair_decides_whether_it_is_liked():
    frame = log(
        ("u", "a", 1, None), ("u", "a", -2, None), ("u", "b", 2, None), ("u", "b", -1, None), ("v", "a", 1, None)
    )

    assert disliked(frame)[["user_id", "item_id"]].drop_duplicates().to_numpy().tolist() == [["u", "a"]]
    assert len(select_likings(frame)) == 3


def test_those_who_only_dislike_do_not_join_unless_they_are_known():
    frame = log(("u", "a", 1, None), ("v", "a", -1, None), ("u", "b", -1, None), ("u", "c", 0, None))

    joined, apart = split_joining(frame)

    assert joined["item_id"].tolist() == ["a"]
    assert apart[["user_id", "item_id"]].to_numpy().tolist() == [["v", "a"], ["u", "b"], ["u", "c"]]
    assert split_joining(frame, IdTable.from_ids(["v"]), IdTable.from_ids(["b"]))[0].index.tolist() == [0, 1, 2]


pairs = st.sets(st.tuples(st.integers(0, 3), st.integers(0, 5)))


def rows_of(entries: set[tuple[int, int]]) -> Rows:
    each = [sorted(item for user, item in entries if user == row) for row in range(4)]
    indptr = np.cumsum([0, *map(len, each)]).astype(np.int64)
    return Rows(indptr, np.array([item for items in each for item in items], np.int32), np.zeros(0, np.float32))


@settings(deadline=None)
@given(pairs, pairs)
def test_rows_without_others_are_the_difference_of_sets(some, others):
    left = without(rows_of(some), rows_of(others))

    assert [left.row(user).tolist() for user in range(4)] == [
        rows_of(some - others).row(user).tolist() for user in range(4)
    ]


def test_weights_count_in_proportion_up_to_one_and_equal_ones_not_at_all():
    frame = SparseFrame.from_interactions(["u"] * 4, list("abcd"), [0.3, 1, 1, 1000])
    counts = loss_weights(frame).matrix.toarray()[0]

    assert counts.max() == 1
    assert counts[1] / counts[0] == pytest.approx(1 / 0.3, rel=1e-5)
    assert loss_weights(SparseFrame.from_interactions(["u"] * 3, list("abc"), [2, 2, 2])) is None


def tastes() -> pd.DataFrame:
    """Users like the items of their parity, all but one of them: u0 dislikes i6 and has hidden i1."""
    liked = [
        (f"u{u}", f"i{i}", 1, None) for u, i in product(range(20), range(20)) if (u + i) % 2 == 0 and (u * 7 + i) % 5
    ]
    rows = [row for row in liked if row[:2] != ("u0", "i6")]
    return log(*rows, ("u0", "i6", 1, "hide"), ("u0", "i1", 1, "hide"))


def served(interactions: pd.DataFrame, model: ModelSettings = SETTINGS) -> Snapshot:
    _, snapshot = fit(TrainingData(interactions, {}, []), model, META)
    assert snapshot is not None
    return snapshot


@pytest.mark.parametrize("loss", ["warp", "bpr", "logistic", "warp-kos"])
def test_what_was_disliked_is_neither_liked_nor_recommended(loss):
    snapshot = served(Feedback({"hide": -1}).weighed(tastes()), ModelSettings(no_components=4, epochs=5, loss=loss))
    user = snapshot.user_index("u0")
    names = snapshot.item_ids.ids_of(snapshot.disliked.row(user))
    listed = [item.item_id for item in Recommender(Catalogue(snapshot)).recommend(Query(user_id="u0", k=99)).items]

    assert sorted(names) == ["i1", "i6"]
    assert not {"i1", "i6"} & set(snapshot.item_ids.ids_of(snapshot.liked().row(user)))
    assert listed
    assert not {"i1", "i6"} & set(listed)


def test_disliking_lowers_an_item_against_liking_it():
    liking_it, hiding_it = (served(Feedback({"hide": weight}).weighed(tastes())) for weight in (1, -1))
    place = [
        Recommender(Catalogue(each)).recommend(Query(user_id="u0", k=99, exclude_seen=False)).items
        for each in (liking_it, hiding_it)
    ]
    ranks = [[item.item_id for item in items].index("i1") for items in place]

    assert ranks[1] > ranks[0]


def test_weights_steer_training_where_they_are_asked_to():
    rows = [(f"u{u}", f"i{i}", 10 if i < 5 else 1, None) for u, i in product(range(12), range(10)) if (u * 3 + i) % 4]
    even, steered = (
        served(log(*rows), ModelSettings(no_components=4, epochs=3, use_weights=use)).items.biases
        for use in (False, True)
    )

    assert (steered[:5].mean() - steered[5:].mean()) > (even[:5].mean() - even[5:].mean())


def test_only_dislikes_teach_nothing():
    with pytest.raises(TrainingError, match="no interactions"):
        train_full(TrainingData(log(("u", "a", -1, None)), {}, []), SETTINGS, meta=META)


def test_items_whose_features_nobody_likes_do_not_stop_a_training():
    entries = [CatalogueEntry("a", {"kind": "x"}), CatalogueEntry("b", {"kind": "y"})]
    data = TrainingData(log(("u", "a", 1, None), ("v", "a", 1, None), ("u", "b", -1, None)), {}, entries)
    _, snapshot = fit(data, SETTINGS, META)

    assert list(snapshot.item_ids) == ["a"]


def test_the_last_word_counts_in_an_increment():
    model, snapshot = fit(TrainingData(Feedback({"hide": -1}).weighed(tastes()), {}, []), SETTINGS, META)
    parent = Trained(model, snapshot, Verdict(accepted=True, reason=None, users=0))
    rows = log(("u0", "i1", 1, None), ("u0", "i3", -1, None), ("u2", "i4", 1, None), ("new", "i2", -1, None))
    after = train_increment(
        parent, News(rows, {}, {}), IncrementSettings(use_weights=True), holdout=0, meta=META
    ).snapshot
    user = after.user_index("u0")

    assert sorted(after.item_ids.ids_of(after.disliked.row(user))) == ["i3", "i6"]
    assert {"i1", "i3", "i6"} <= set(after.item_ids.ids_of(after.seen.row(user)))
    assert after.user_ids.index_of("new") == -1


def listed(snapshot: Snapshot, user_id: str) -> set[str]:
    return {item.item_id for item in Recommender(Catalogue(snapshot)).recommend(Query(user_id=user_id, k=99)).items}


CATALOGUE = [CatalogueEntry(f"i{i}", {"kind": "x"}) for i in range(20)] + [CatalogueEntry("unliked", {"kind": "x"})]
HIDDEN = log(("hider", "i3", -1, None), ("hider", "i4", 0, None), ("u2", "unliked", -1, None))


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_who_only_dislikes_and_what_nobody_likes_is_not_recommended_when_it_is_learned(mode):
    said = Feedback({"hide": -1}).weighed(tastes())
    everything = pd.concat([said, HIDDEN], ignore_index=True)
    model, snapshot = fit(TrainingData(everything if mode == "full" else said, {}, CATALOGUE), SETTINGS, META)
    if mode == "incremental":
        parent = Trained(model, snapshot, Verdict(accepted=True, reason=None, users=0))
        news = News(HIDDEN, {}, {entry.item_id: entry for entry in CATALOGUE})
        snapshot = train_increment(parent, news, IncrementSettings(), holdout=0, meta=META).snapshot
    snapshot = Snapshot.from_arrays(snapshot.to_arrays(), snapshot.to_meta())
    everybody = BatchRecommender(snapshot, 99)
    lists = everybody.learned(0, len(snapshot.user_ids))
    of_u2 = lists.users.tolist().index(snapshot.user_ids.index_of("u2"))
    batch = np.split(lists.positions, np.cumsum(lists.lengths))[of_u2]

    assert listed(snapshot, "hider") == {entry.item_id for entry in CATALOGUE} - {"i3", "i4"}
    assert "unliked" in listed(snapshot, "u4")
    assert "unliked" not in listed(snapshot, "u2")
    assert "unliked" not in [everybody.catalogue.item(position).item_id for position in batch.tolist()]


def test_what_is_not_recommended_to_whom_is_kept_until_they_are_forgotten():
    model, snapshot = fit(TrainingData(pd.concat([tastes(), HIDDEN]), {}, CATALOGUE), SETTINGS, META)
    entries = {entry.item_id: entry for entry in CATALOGUE}
    seen = []
    for forgotten in ([], ["hider"]):
        parent = Trained(model, snapshot, Verdict(accepted=True, reason=None, users=0))
        news = News(log(("u2", "i4", 1, None)), {}, entries, forgotten=forgotten)
        snapshot = train_increment(parent, news, IncrementSettings(), holdout=0, meta=META).snapshot
        seen.append((snapshot.exclusions.of("hider"), snapshot.exclusions.of("u2")))

    assert seen == [(["i3", "i4"], ["unliked"]), ((), ["unliked"])]


@pytest.mark.parametrize("loss", ["logistic", "warp-kos"])
def test_values_of_nothing_are_not_examples_for_losses_that_take_them_for_some(loss):
    liked = [(f"u{u}", f"i{i}") for u, i in product(range(8), range(20)) if (u + i) % 3]
    nothing = [(f"u{u}", f"i{i}") for u, i in product(range(8), range(20)) if not (u + i) % 3]
    values = [1.0] * len(liked) + [0.0] * len(nothing)
    shown = SparseFrame.from_interactions(*zip(*liked, *nothing, strict=True), values)
    bare = SparseFrame.from_interactions(*zip(*liked, strict=True))
    options = {"no_components": 3, "loss": loss, "random_state": 0, "k": 1, "n": 2}
    with_nothing, without_it = (LFMRecommender(**options).fit(each, epochs=3) for each in (shown, bare))

    assert (with_nothing.item_embeddings == without_it.item_embeddings).all()
