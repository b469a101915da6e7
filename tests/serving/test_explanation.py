"""Because: sentences that say nothing but what the score is made of."""

import re
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.feature_space import FeatureSpace
from recommender.models.feedback import Feedback
from recommender.models.fold_in import LONGEST, fold_in, fold_in_contributions, history_share, mapped_width
from recommender.schema import Query, RecentItem, UserState
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.explanation import describe_feature, history_contributions, sentence
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.training.histories import histories
from recommender.training.serving_transform import ServingTransform, to_serving
from tests.support.known_worlds import (
    COLD,
    ITEMS,
    LOG_OFFSET,
    USERS,
    entry,
    item_features,
    learned_world,
    parity,
    user_features,
)

NEW = LOG_OFFSET + 1


@cache
def serving() -> Snapshot:
    """Snapshot as it serves, of a world where every user likes what has their parity."""
    world = learned_world()
    return to_serving(world.model, world.snapshot(), ServingTransform(newcomer_quantile=0.5))


def asked(user_id: str | None, state: UserState | None = None, snapshot: Snapshot | None = None, **query) -> list:
    feedback = Feedback({"hide": -1.0})
    catalogue = Catalogue(snapshot or serving())
    catalogue.apply([ItemChange("fresh", item_features("i4"), "Fresh")], 1)
    asking = Query(user_id=user_id, explain=True, exclude_seen=False, k=50, **query)
    return Recommender(catalogue, feedback=feedback).recommend(asking, state).items


def chosen(because: str) -> str | None:
    found = re.search(r"you chose (Title of \w+|\w+)", because)
    return found[1].removeprefix("Title of ") if found else None


@given(st.integers(0, LONGEST + 3), st.integers(0, 9))
def test_what_items_of_a_history_add_is_what_the_vector_is_made_of(n, seed):
    snapshot = serving()
    representations = np.random.default_rng(seed).standard_normal((n + 1, snapshot.no_components)).astype(np.float32)
    d, scale = mapped_width(snapshot.fold_in_weights), 1 / np.sqrt(min(n + 1, LONGEST))
    alone = snapshot.fold_in_weights[0] + scale * snapshot.fold_in_weights[d + 1]
    parts = fold_in_contributions(snapshot.fold_in_weights, representations)

    assert parts.sum(axis=0) + alone == pytest.approx(fold_in(snapshot.fold_in_weights, representations), abs=1e-4)
    assert not parts[: max(0, n + 1 - LONGEST)].any()


@pytest.mark.parametrize("recent", [[], ["i1"], ["i8", "i3", "fresh"]])
def test_parts_of_a_history_and_the_trained_row_are_all_that_a_user_vector_is(recent):
    snapshot, model = serving(), learned_world().model
    catalogue = Catalogue(snapshot)
    catalogue.apply([ItemChange("fresh", item_features("i4"))], 1)
    row = snapshot.user_index("u3")
    features = snapshot.user_space.encode(user_features("u3"))
    vectors = catalogue.representations(recent)
    user = snapshot.user_vector(row, features, vectors)
    liked = snapshot.liked_items(row)
    d, weights = mapped_width(snapshot.fold_in_weights), snapshot.fold_in_weights

    def alone(n: int) -> np.ndarray:
        return weights[0] + weights[d + 1] / np.sqrt(n)

    share = len(recent) / (len(recent) + 2)
    own = np.zeros(snapshot.no_components)
    mixed = history_share(np.array([len(liked)]))
    own[:d] = (1 - mixed) * (model.users.rows() @ model.user_embeddings)[row] + mixed * alone(len(liked))[:d]
    own[d:] = alone(1)[d:]
    rest = (1 - share) * own + (share * alone(len(recent)) if recent else 0)

    assert history_contributions(snapshot, user, liked, vectors).sum(axis=0) + rest == pytest.approx(
        user.vector, abs=1e-4
    )


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*USERS[:3], "stranger", None]),
    st.lists(st.sampled_from([*ITEMS, *COLD, "fresh", "nowhere"]), max_size=4),
    st.sampled_from([None, {}, user_features("u3")]),
)
def test_only_what_the_user_has_chosen_is_named(user_id, recent, features):
    snapshot = serving()
    known = set(snapshot.item_ids.ids_of(snapshot.learned_items(user_id)))
    state = UserState(None, tuple(RecentItem(item_id, NEW) for item_id in recent) if user_id else ())
    for item in asked(user_id, state, features=features, recent=() if user_id else tuple(recent)):
        assert item.because.startswith("because ")
        assert chosen(item.because.replace("Fresh", "fresh")) in {None, *known, *recent}


@pytest.mark.parametrize("user_id", USERS)
def test_what_one_likes_is_because_of_what_else_one_likes(user_id):
    for item in asked(user_id)[:5]:
        assert parity(item.item_id) == parity(user_id)
        assert parity(chosen(item.because)) == parity(user_id)


def test_a_new_click_is_a_reason_at_once_and_a_deleted_user_has_none_from_before():
    clicked = asked("stranger", UserState(None, (RecentItem("i5", NEW),)))
    erased = asked("u3", UserState(None, (RecentItem("i4", NEW + 1),), deleted_at=NEW))

    assert chosen(clicked[0].because) == "i5"
    assert {chosen(item.because) for item in erased} <= {None, "i4"}


def test_what_was_disliked_is_never_a_reason():
    world = learned_world()
    own = world.log[world.log["user_id"] == "u3"]
    disliked = histories(world.model, own.iloc[:-1])
    only = own["item_id"].iloc[-1]
    snapshot = to_serving(world.model, world.snapshot(disliked=disliked), ServingTransform(newcomer_quantile=0.5))

    assert {chosen(item.because) for item in asked("u3", snapshot=snapshot)} <= {None, only}


def test_a_feature_is_named_when_it_speaks_for_the_item():
    by_features = asked(None, features=user_features("u3"))

    for item in by_features:
        speaking = {part.feature: part.contribution for part in item.explanation if part.contribution > 0}
        named = re.findall(r"its (\w+) (?:is|include) ", item.because)
        assert all(any(label.startswith(name) for label in speaking) for name in named)
    assert by_features[0].because == "because its group is g1"


def test_without_anything_known_it_is_popularity():
    assert {item.because for item in asked("stranger")} == {"because it is popular"}


def test_without_explain_there_is_no_sentence():
    answer = Recommender(Catalogue(serving())).recommend(Query(user_id="u3"))

    assert not any(item.because for item in answer.items)


def test_every_column_has_its_words():
    features = {"genres": ["Sci-Fi"], "lead_actor": "A=B", "a=b": "c", "free": True, "year": 3.5}
    space = FeatureSpace.empty().extended([features, *({"year": year} for year in (1, 2, 2.5, 3))])

    assert {describe_feature(name) for name in space.names} == {
        "its genres include Sci-Fi",
        "its lead actor is A=B",
        "its a=b is c",
        "its free is true",
        "its year is below 2",
        "its year is from 2 to below 2.5",
        "its year is from 2.5 to below 3",
        "its year is from 3 to below 3.5",
        "its year is 3.5 or more",
    }


def test_a_sentence_says_the_strongest_reasons_and_never_nothing():
    parts = [("item_id", 2.0), ("genres=War", 1.0), ("genres=Drama", 0.5)]

    def said(history=None, parts=parts, boosts=(), *, explored=False):
        return sentence(history=history, parts=parts, boosts=boosts, explored=explored)

    assert said("Alien") == "because you chose Alien, and its genres include War"
    assert said(parts=[("item_id", 20.0), *parts[1:]]) == "because it does well with people like you"
    assert said(parts=[("item_id", -1.0)]) == "because nothing else suits you better"
    assert said("Alien", parts=[], boosts=[("on:sale", 1.0), ("x:y", -1.0)], explored=True) == (
        "because it is new here and waits to be found, and you chose Alien, and on:sale is put forward"
    )


def test_titles_are_taken_where_there_are_any():
    world = learned_world()
    untitled = [entry(item_id)._replace(title=None) for item_id in ITEMS]
    snapshot = to_serving(world.model, world.snapshot(untitled), ServingTransform(newcomer_quantile=0.5))

    assert re.match(r"because you chose Title of i\d", asked("u3")[0].because)
    assert re.match(r"because you chose i\d", asked("u3", snapshot=snapshot)[0].because)


def test_what_one_has_turned_against_is_no_reason_though_the_score_still_has_it():
    liked = serving().item_ids.ids_of(serving().learned_items("u3"))
    against = UserState(None, tuple(RecentItem(item_id, NEW, 1.0, "hide") for item_id in liked[1:]))

    reasons = {chosen(item.because) for item in asked("u3", against)}

    assert reasons <= {None, liked[0]}
