"""Choices of the history parts: hyperparameters that a hold-out taught, kept in the manifest of a version."""

from __future__ import annotations

from typing import Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from recommender.models.implicit_als import ImplicitALSSettings
from recommender.models.item_item import ItemItemSettings
from recommender.models.mixture import LENGTHS, Mixture
from recommender.storage.registry import VersionMeta

HoldoutKind = Literal["last", "random"]
"""``last``: each user's newest interactions; ``random``: any of them."""
Vectors = Literal["low_pass", "als"]
"""Whose vectors are summed over a history: a low-pass filter's, or those of implicit ALS."""
LEAST_LIGHTFM = 0.02
"""Least weight of LightFM's part beside the history parts: it alone knows strangers and new items."""
LOOKED_AT_AGAIN = 2.0
"""Growth of the interactions after which choices are learned anew."""


class NewcomerWeights(msgspec.Struct, frozen=True):
    """How much each part of the score of an item without interactions counts."""

    features: float = 1.0
    """What its features predict of LightFM's vectors."""
    low_pass: float = 1.0
    """What they predict of the low-pass vectors."""
    columns: float = 0.0
    """Its column of the item-item matrix, by known items that are like it."""


class HistoryChoices(msgspec.Struct, frozen=True):
    """Hyperparameters of the item-item matrix and the low-pass filter, and how much each counts.

    Weights are in scales of the parts and relative to LightFM's, one for each bucket of `mixture.LENGTHS`.
    """

    holdout: HoldoutKind
    """Kind of the hold-out that taught them."""
    n_interactions: int
    """Interactions at the time, the held-out ones included."""
    neighbours: int
    kept: int | None
    penalty: float
    length_exponent: float
    low_pass: int
    """Components of the low-pass filter, or of what stands in its place; 0 where it does not pay."""
    half_life: float | None
    """Of the recency weights, in interactions."""
    lightfm_pays: bool
    """Whether LightFM's part adds to what users with a history get; where not, it is trained for strangers alone."""
    item_item_weights: list[float]
    low_pass_weights: list[float]
    ndcg: dict[str, float] = {}
    """What each part reached alone on the hold-out, and ``mixture`` all."""
    newcomers: NewcomerWeights = NewcomerWeights()
    """Of items without interactions."""
    mean_history: float | None = None
    """How much the mean history counts for whoever has features and no history, in scales of what LightFM gives them;
    None: as it counts for others."""
    als_confidence: float = ImplicitALSSettings.confidence
    als_penalty: float = ImplicitALSSettings.penalty
    """Of implicit ALS, where its vectors are those."""
    vectors: Vectors = "low_pass"
    """What stands in the place of the low-pass filter, which it is itself unless others do better."""

    def is_outgrown(self, n_interactions: int) -> bool:
        """Whether there are so many more interactions that they should be learned anew."""
        return n_interactions >= LOOKED_AT_AGAIN * self.n_interactions

    def item_item(self, budget_bytes: int) -> ItemItemSettings:
        """Settings of the item-item matrix, within a budget of memory."""
        return ItemItemSettings(
            neighbours=self.neighbours,
            kept=self.kept,
            penalty=self.penalty,
            length_exponent=self.length_exponent,
            budget_bytes=budget_bytes,
        )

    @property
    def implicit_als(self) -> ImplicitALSSettings:
        """Settings of implicit ALS."""
        return ImplicitALSSettings(self.low_pass, self.als_confidence, self.als_penalty)

    def taught(self, mixture: Mixture, half_life: float | None, least_low_pass: float = 0.0) -> Self:
        """The same with what a hold-out taught.

        Parameters
        ----------
        mixture
            Of ``lightfm``, ``item_item`` and ``low_pass``.
        half_life
            Of the recency weights.
        least_low_pass
            Weight that the low-pass filter has at least, in scales of the largest part.
        """
        item_item, low_pass = relative_weights(mixture)
        low_pass = np.maximum(low_pass, least_low_pass * np.maximum(item_item, 1))
        return msgspec.structs.replace(
            self,
            half_life=half_life,
            lightfm_pays=bool(mixture.weights[:, mixture.names.index("lightfm")].any()),
            item_item_weights=item_item.tolist(),
            low_pass_weights=low_pass.tolist(),
            low_pass=self.low_pass if low_pass.any() else 0,
            ndcg=dict(mixture.ndcg),
        )


def relative_weights(mixture: Mixture) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of the item-item matrix and of the low-pass filter relative to LightFM's, shape (len(LENGTHS),) each."""
    by_name = dict(zip(mixture.names, mixture.weights.astype(np.float64).T, strict=True))
    nothing = np.zeros(len(LENGTHS))
    item_item, low_pass = by_name.get("item_item", nothing), by_name.get("low_pass", nothing)
    lightfm = np.maximum(by_name.get("lightfm", nothing), LEAST_LIGHTFM * (item_item + low_pass))
    lightfm = np.where(lightfm > 0, lightfm, 1)
    return item_item / lightfm, low_pass / lightfm


def choices_of(meta: VersionMeta) -> HistoryChoices | None:
    """Choices of the history parts that a version was trained with."""
    return None if meta.history_choices is None else msgspec.convert(meta.history_choices, HistoryChoices)
