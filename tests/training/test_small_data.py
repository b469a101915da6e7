"""The defaults on a handful of interactions, where every newcomer starts: two or three tastes, all is known."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from recommender.schema import Query, UserState
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.training.full import TrainingData, fit
from recommender.training.model_settings import ModelSettings
from recommender.training.snapshot_builder import CatalogueEntry

META = {"log_offset": 0, "items_sequence": 0, "version": "1"}
SEEDS = range(10)

TOY18 = {
    **{"0": "a", "1": "ab", "2": "ab", "3": "ab"},
    **{"4": "ef", "5": "ef", "6": "ef", "7": "ef", "8": "ef", "9": "f"},
}
"""Ten users, two tastes, eighteen interactions: one taste has more users."""
MINORITY = {**{f"m{n}": "xyz".replace("xyz"[n % 3], "") for n in range(3)}, **{f"n{n}": "pq" for n in range(9)}} | {
    "someone": "p"
}
"""A taste of three beside one of ten."""
THREE = {f"{taste}{n}": taste.replace(taste[n % 4], "") for taste in ("abcd", "efgh", "ijkl") for n in range(5)}
"""Three tastes of five users, each of whom lacks one of the four items of theirs."""


def first_choices(world: Mapping[str, str], seed: int) -> dict[str, str]:
    """First of the items that each has not chosen, for those who lack one of their taste."""
    pairs = [(user, item) for user, items in world.items() for item in items]
    log = pd.DataFrame(pairs, columns=["user_id", "item_id"]).assign(
        weight=np.float32(1), timestamp=np.arange(len(pairs), dtype=float)
    )
    catalogue = [CatalogueEntry(item, {}) for item in dict.fromkeys(item for _, item in pairs)]
    _, snapshot = fit(TrainingData(log, {}, catalogue), ModelSettings(seed=seed), META)
    recommender = Recommender(Catalogue(snapshot))
    answers = {user: recommender.recommend(Query(user_id=user, k=1), UserState()) for user in world}
    return {user: answer.items[0].item_id for user, answer in answers.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_eighteen_interactions_suffice_to_tell_two_tastes_apart(seed):
    first = first_choices(TOY18, seed)

    assert (first["0"], first["9"]) == ("b", "e")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_taste_of_three_is_told_from_one_of_ten(seed):
    first = first_choices(MINORITY, seed)

    assert [first["m0"], first["m1"], first["m2"], first["someone"]] == ["x", "y", "z", "q"]


@pytest.mark.parametrize("seed", SEEDS)
def test_three_tastes_of_five_users_are_told_apart(seed):
    first = first_choices(THREE, seed)

    # alike are the letters of one third
    assert [item for user, item in first.items() if item not in set("abcdefghijkl"[ord(user[0]) - 97 :][:4])] == []


def test_data_of_a_usual_size_is_gone_over_as_often_as_the_setting_says():
    assert ModelSettings().epochs_for(100_000) == ModelSettings.epochs
    assert ModelSettings(epochs=3, min_steps=0).epochs_for(18) == 3
    assert ModelSettings(epochs=3, min_steps=100).epochs_for(18) == 6
