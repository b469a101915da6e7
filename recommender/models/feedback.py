"""Feedback: what an interaction says of liking, by its event and its weight.

From here on a weight above 0 is a liking, and one of 0 or below is not: such a pair is never learned as an
example, nor drawn as a counter-example at random, nor recommended, for the user knows the item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.ids import IdTable
from recommender.sparse_frame import SparseFrame

RATING = "rating"
"""The event whose weight is a rating; so is that of an interaction without an event."""
FULL = 0.95
"""Quantile of the weights at which an interaction counts in full."""
NOBODY = IdTable.from_ids()


@dataclass(frozen=True)
class Feedback:
    """How interactions are read.

    Parameters
    ----------
    event_weights
        By event, what the weight of an interaction is multiplied by; 1 for events that are not named. 0 says
        nothing of liking, and less than 0 speaks against it.
    negative_below
        Ratings below this speak against an item, by how far they are below; None: all are likings.
    """

    event_weights: Mapping[str, float] = field(default_factory=dict)
    negative_below: float | None = None

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> Feedback:
        """How the interactions of a version were read; all as likings where it does not say."""
        return cls(**meta.get("feedback", {}))

    def to_meta(self) -> dict[str, Any]:
        """What `from_meta` takes, under ``feedback``."""
        return {"event_weights": dict(self.event_weights), "negative_below": self.negative_below}

    def weighed(self, interactions: pd.DataFrame) -> pd.DataFrame:
        """The same interactions, ``weight`` being what they say of liking.

        Parameters
        ----------
        interactions
            ``weight`` and, where there are any, ``event``; it may be missing in a row.
        """
        if not self.event_weights and self.negative_below is None:
            return interactions
        weights = interactions["weight"].to_numpy(np.float64)
        events = interactions["event"] if "event" in interactions else pd.Series(None, interactions.index, dtype=object)
        if self.negative_below is not None:
            low = (weights < self.negative_below) & (events.isna() | (events == RATING)).to_numpy()
            weights = np.where(low, weights - self.negative_below, weights)
        factors = events.map(dict(self.event_weights)).astype(np.float64).fillna(1.0).to_numpy()
        # what speaks against an item does not speak for it because its event does, too
        said = factors * np.where(factors > 0, weights, np.abs(weights))
        return interactions.assign(weight=said.astype(np.float32))

    def is_liking(self, weight: float, event: str | None) -> bool:
        """Whether one interaction is a liking: whether its weight, as `weighed` has it, is above 0."""
        is_low = self.negative_below is not None and event in (None, RATING) and weight < self.negative_below
        factor = 1.0 if event is None else self.event_weights.get(event, 1.0)
        return weight > 0 and factor > 0 and not is_low


def select_likings(interactions: pd.DataFrame) -> pd.DataFrame:
    """Interactions that say that something is liked."""
    return interactions[interactions["weight"] > 0]


def split_joining(
    interactions: pd.DataFrame, users: IdTable = NOBODY, items: IdTable = NOBODY
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Interactions of users and items who like or are liked, or are known already; and the others."""
    if _all_likings(interactions):
        return interactions, interactions[:0]
    liked = interactions[_totals(interactions) > 0]
    kept = np.ones(len(interactions), np.bool_)
    for column, known in (("user_id", users), ("item_id", items)):
        ids = interactions[column]
        kept &= ids.isin(liked[column].unique()).to_numpy() | (known.indices_of(ids) >= 0)
    return interactions[kept], interactions[~kept]


def disliked(interactions: pd.DataFrame) -> pd.DataFrame:
    """Interactions of the pairs that, all in all, are not liked."""
    if _all_likings(interactions):
        return interactions[:0]
    return interactions[_totals(interactions) <= 0]


def loss_weights(interactions: SparseFrame) -> SparseFrame | None:
    """What each interaction counts in training, in proportion to its weight and at most 1; None where all count 1.

    The weight of the `FULL` quantile counts 1. LightFM clips what is above, and one item that was played a
    thousand times should not make all others count for nothing.
    """
    matrix = interactions.matrix.tocsr()
    liked: NDArray[np.float32] = matrix.data[matrix.data > 0]
    if not len(liked) or (liked == liked[0]).all():
        return None
    counts = np.minimum(np.abs(matrix.data) / np.quantile(liked, FULL), 1).astype(np.float32)
    weighted = sparse.csr_matrix((counts, matrix.indices, matrix.indptr), matrix.shape)
    return SparseFrame(interactions.rows, interactions.columns, weighted)


def _all_likings(interactions: pd.DataFrame) -> bool:
    return bool((interactions["weight"].to_numpy() > 0).all())


def _totals(interactions: pd.DataFrame) -> NDArray[np.float64]:
    """Sum of the weights of each interaction's pair."""
    pairs = interactions.groupby(["user_id", "item_id"], sort=False)["weight"]
    totals: NDArray[np.float64] = pairs.transform("sum").to_numpy(np.float64)
    return totals
