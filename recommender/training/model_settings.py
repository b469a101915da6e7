"""Model settings: hyperparameters of a full training, and what of them a comparison or early stopping changes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Self

from recommender.feature_space import RARE
from recommender.models.lightfm_recommender import FitWith, Indicators, LFMRecommender
from recommender.training.admission import FeatureAdmission
from recommender.training.history_tuning import HistorySettings
from recommender.training.serving_transform import ServingTransform

_LIGHTFM = (
    "no_components",
    "loss",
    "learning_rate",
    "learning_schedule",
    "max_sampled",
    "user_alpha",
    "item_alpha",
    "fit_with",
)

LEAST_EPOCHS = 5
SHOWN_TO_COMPARE = 2_000_000
"""Interactions that LightFM is shown where it is only compared with other parts, or only serves strangers."""
FEW_COLUMNS = 10.0
"""Columns of a user and an item up to which so many are shown; each step takes time for every one."""


@dataclass(frozen=True)
class ModelSettings:
    """How the model is built; the defaults are what did best on MovieLens-100k (docs/quality.md).

    ``normalise`` divides the weights of an entity's features by their sum; its indicator always weighs 1.
    It is better off where entities have dozens of features each, and worse for items that only have features.
    ``use_weights`` lets interactions count in training by their weight; without it a liking is a liking.
    LightFM cannot with ``warp-kos``.
    ``min_steps``: small data is gone over more often than ``epochs`` says, until so many interactions have been shown.
    The embeddings begin near 0 and the biases run ahead of them: stopped before a few thousand steps, a model ranks
    by popularity alone. 0 for exactly ``epochs``.
    ``early_stopping``: on large data a full training ends its epochs where held-out pairs are not ranked better any
    more; ``epochs`` is the most then.
    ``rare_features``: of the categories that only one user or item has, so many are learned, on either side; those that
    two have are learned however many they are. What one alone has says no more of it than its indicator.
    ``admission``: which other categories are learned.
    ``fit_with``: whose loop trains, ours (``compiled``) or ``lightfm``; see `LFMRecommender`.
    ``newcomer_quantile`` is that of `ServingTransform`; ``history`` says how what is summed over histories is built.
    """

    no_components: int = 64
    loss: str = "warp"
    indicators: Indicators = "both"
    learning_rate: float = 0.02
    learning_schedule: str = "adagrad"
    epochs: int = 50
    min_steps: int = 5_000
    early_stopping: bool = True
    max_sampled: int = 10
    user_alpha: float = 0.0
    item_alpha: float = 0.0
    normalise: bool = False
    seed: int = 42
    num_threads: int = 1
    use_weights: bool = False
    rare_features: int = RARE
    admission: FeatureAdmission = field(default_factory=FeatureAdmission)
    fit_with: FitWith = "compiled"
    newcomer_quantile: float | None = ServingTransform.newcomer_quantile
    history: HistorySettings = field(default_factory=HistorySettings)

    @property
    def settling(self) -> ServingTransform:
        """How the trained model becomes what serves."""
        return ServingTransform(self.newcomer_quantile)

    def epochs_for(self, n_interactions: int) -> int:
        """Passes over so many interactions."""
        return max(self.epochs, math.ceil(self.min_steps / max(n_interactions, 1)))

    def stopped_after(self, epochs: int) -> Self:
        """The same with exactly so many passes."""
        return replace(self, epochs=epochs, min_steps=0)

    def quick(self, n_interactions: int, columns_of_a_pair: float = FEW_COLUMNS) -> Self:
        """The same with fewer passes over large data, or over wide: enough to compare with other parts."""
        shown = SHOWN_TO_COMPARE * FEW_COLUMNS / max(FEW_COLUMNS, columns_of_a_pair)
        epochs = max(LEAST_EPOCHS, int(shown) // max(n_interactions, 1))
        return replace(self, epochs=min(self.epochs, epochs))

    def recommender(self) -> LFMRecommender:
        """Untrained recommender with these settings."""
        lightfm = {name: getattr(self, name) for name in _LIGHTFM}
        return LFMRecommender(self.indicators, random_state=self.seed, **lightfm)
