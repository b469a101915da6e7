"""Candidate models of a comparison: each is fitted to a fold and then scores every item for its users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from recommender.errors import TrainingError
from recommender.evaluation.metrics import Score
from recommender.experiments.folds import Fold
from recommender.schema import Query, UserState
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.training.full import TrainingData, train_full
from recommender.training.history_choices import HistoryChoices, HoldoutKind
from recommender.training.history_tuning import HistorySettings
from recommender.training.model_settings import ModelSettings

Settings = Mapping[str, Any]

OURS = "ours"


class Candidate(Protocol):
    """Protocol of a model that is compared: it is fitted to a fold and scores its users."""

    @property
    def name(self) -> str:
        """As tables show it."""
        ...

    @property
    def space(self) -> Mapping[str, Sequence[Any]]:
        """Values that tuning may try, by setting; the first of each is the default."""
        ...

    @property
    def most_items(self) -> int | None:
        """Of a data set that it still fits into memory with; None for any."""
        ...

    def fit(self, fold: Fold, settings: Settings) -> Score:
        """Learn from a fold; the same fold and settings give the same scores."""
        ...


def defaults_for(split: str, num_threads: int = 1) -> ModelSettings:
    """Default settings whose mixture is taught by a hold-out of the kind that judges, as peers are tuned by one.

    A split that is neither ``random`` nor ``last`` leaves it to the data.
    """
    kinds: Mapping[str, HoldoutKind] = {"random": "random", "last": "last"}
    return ModelSettings(num_threads=num_threads, history=HistorySettings(holdout_kind=kinds.get(split, "auto")))


class Ours:
    """Candidate: the model of this package, through the serving path.

    Users are scored as the service would: by their trained rows and features, or by features alone; whoever
    has neither gets what is popular. Items that the service could not score are never recommended.

    Parameters
    ----------
    settings
        How it is trained; a fold brings its own seed.
    name
        As tables show it.
    """

    most_items: int | None = None
    space: Mapping[str, Sequence[Any]] = {
        "no_components": (ModelSettings.no_components, 32, 64, 128),
        "learning_rate": (ModelSettings.learning_rate, 0.01, 0.02, 0.05),
        "epochs": (ModelSettings.epochs, 20, 35, 50),
        "max_sampled": (ModelSettings.max_sampled, 10, 30, 100),
    }

    def __init__(self, settings: ModelSettings | None = None, name: str = OURS) -> None:
        self.settings = settings or ModelSettings()
        self.name = name

    def fit(self, fold: Fold, settings: Settings) -> Score:
        """Train and lay out what would serve."""
        trained = train_full(
            TrainingData(fold.older, fold.users, fold.catalogue),
            replace(self.settings, seed=fold.seed, **settings),
            holdout=0,
            meta={"log_offset": 0, "items_sequence": 0, "version": "candidate"},
        )
        if trained.snapshot is None:
            raise TrainingError(f"{self.name}: the weights exploded in training; lower the learning rate")
        return Served(fold, Recommender(Catalogue(trained.snapshot)), trained.choices)


class Served:
    """Scores of a recommender at the places of a fold.

    Parameters
    ----------
    fold
        Whose places.
    recommender
        What scores.
    choices
        Of the history parts, as its training learned them; None where it has none.
    """

    def __init__(self, fold: Fold, recommender: Recommender, choices: HistoryChoices | None = None) -> None:
        self.fold = fold
        self.learned: dict[str, Any] = {} if choices is None else msgspec.to_builtins(choices)
        self.recommender = recommender
        self.rows = recommender.snapshot.item_ids.indices_of(fold.item_ids.tolist())
        known = self.rows >= 0
        known[known] = ~recommender.catalogue.masked[self.rows[known]]
        self.scorable = known

    def __call__(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """Scores of users by their number, shape (n_users, n_items); -inf where the service has none."""
        user_ids = self.fold.user_ids[users].tolist()
        queries = [Query(user_id=user_id) for user_id in user_ids]
        states = [UserState(dict(self.fold.users.get(user_id, {}))) for user_id in user_ids]
        scores = self.recommender.score_many(queries, states)
        by_item = np.full((len(users), len(self.rows)), -np.inf, np.float32)
        by_item[:, self.scorable] = scores[:, self.rows[self.scorable]]
        return by_item
