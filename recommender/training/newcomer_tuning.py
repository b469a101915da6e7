"""Tuning of newcomers' scores: some known items are pretended to be new, and found again by what could find them.

A newcomer can be scored by what its features predict of LightFM's vectors, by what they predict of the low-pass vectors
and by its column of the item-item matrix (`newcomer_columns`). What does best depends on the features: hundreds of tags
tell its nearest neighbours, a genre and a year do not. The pretended ones have no interactions in anything that was
fitted, or what is to be found would have been learned already.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.mixture import FEWEST, Score, learn_mixture, scale_of
from recommender.serving.snapshot import Snapshot
from recommender.training.cold_start import features_of, newcomer_features, represented
from recommender.training.history_choices import HistoryChoices, NewcomerWeights
from recommender.training.history_parts import HistoryParts, of_lengths, with_history_parts
from recommender.training.newcomer_columns import newcomer_columns
from recommender.training.recency import weighted_histories
from recommender.training.snapshot_builder import CatalogueEntry

PRETENDED = 0.1
"""Share of the known items that have features."""
FEWEST_PRETENDED = 20
MOST_PRETENDED = 5_000
ERRORS = 3.0
"""Standard errors over users that a gain must exceed: few items are pretended, and all users judge the same ones."""
MOST_MEASURED = 200
"""Users on whom scales are measured."""


def pretended_new(interactions: pd.DataFrame, catalogue: Sequence[CatalogueEntry], seed: int) -> frozenset[str]:
    """Known items to pretend that they were new; none where too few have features."""
    described = {entry.item_id for entry in catalogue if entry.features}
    known = [item_id for item_id in interactions["item_id"].unique().tolist() if item_id in described]
    n = min(MOST_PRETENDED, round(PRETENDED * len(known)))
    if n < FEWEST_PRETENDED:
        return frozenset()
    return frozenset(np.random.default_rng(seed).choice(np.array(known, object), n, replace=False).tolist())


def without_items(interactions: pd.DataFrame, item_ids: Collection[str]) -> pd.DataFrame:
    """Interactions with other items."""
    return interactions[~interactions["item_id"].isin(list(item_ids))] if item_ids else interactions


def learn_newcomers(
    snapshot: Snapshot,
    users: NDArray[np.float32],
    parts: HistoryParts,
    choices: HistoryChoices,
    likings: pd.DataFrame,
) -> HistoryChoices:
    """Choices with how much each part of a newcomer's score counts.

    Parameters
    ----------
    snapshot
        Of LightFM's part alone, whose newcomers are the pretended ones and those of the catalogue.
    users
        Vectors of the users of its histories, shape (n_users, d).
    parts
        Fitted without the pretended ones.
    choices
        By which they are weighed.
    likings
        Of the pretended ones: what is to be found.
    """
    to_find, rows = _to_find(snapshot, likings)
    if int(np.count_nonzero(np.diff(to_find.indptr))) < FEWEST:
        return choices
    scores = _PartScores.of(snapshot, users, parts, rows)
    by_name: dict[str, Score] = {"features": scores.features, "columns": scores.columns}
    if scores.n_low_pass:
        by_name["low_pass"] = scores.low_pass
    nothing_known = sparse.csr_matrix(to_find.shape, dtype=np.float32)
    mixture = learn_mixture(by_name, nothing_known, to_find, errors=ERRORS)
    measured = np.flatnonzero(np.diff(to_find.indptr))[:MOST_MEASURED].astype(np.int32)
    scores_of = {name: score(measured) for name, score in by_name.items()}
    scales = {name: scale_of(each) for name, each in scores_of.items()}
    chosen = dict(zip(mixture.names, mixture.weights[0].tolist(), strict=True))
    weights = {name: chosen[name] / scales[name] if scales[name] > 0 else 0.0 for name in by_name}
    mixed = np.sum([weights[name] * scores_of[name] for name in by_name], axis=0)
    plain = np.sum(list(scores_of.values()), axis=0)
    factor = scale_of(plain) / (scale_of(mixed) or 1.0)
    learned = NewcomerWeights(**{name: factor * weight for name, weight in weights.items()})
    return msgspec.structs.replace(choices, newcomers=learned)


class _PartScores(NamedTuple):
    """Parts of the scores of some newcomers, by batches of users."""

    users: NDArray[np.float32]
    vectors: NDArray[np.float32]
    biases: NDArray[np.float32]
    n_low_pass: int
    histories: sparse.csr_matrix
    """Users by known items: how much an interaction counts by the item-item matrix."""
    item_item: sparse.csr_matrix
    """Known items by newcomers."""

    @classmethod
    def of(
        cls, snapshot: Snapshot, users: NDArray[np.float32], parts: HistoryParts, rows: NDArray[np.int32]
    ) -> _PartScores:
        widened, users = with_history_parts(snapshot, users, parts)
        features, n_known = features_of(widened), widened.n_known_items
        judges = np.flatnonzero(np.diff(widened.seen.indptr))
        table = newcomer_features(widened, features[:n_known], users[judges], 0.5)
        new = represented(table, features[rows])
        history, liked = widened.history, widened.liked()
        assert history is not None  # noqa: S101 - with_history_parts has set it
        weighted = weighted_histories(liked, n_known, history.half_life)
        amounts = of_lengths(history.item_item, np.diff(liked.indptr))
        components = widened.item_space.are_components()
        columns = newcomer_columns(parts.item_item, features[:n_known], features[rows], components)
        histories = sparse.csr_matrix(sparse.diags_array(amounts) @ weighted, dtype=np.float32)
        return cls(users, new.vectors, new.biases, history.n_low_pass, histories, columns)

    def features(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """By what features predict of LightFM's vectors."""
        d = self.vectors.shape[1] - self.n_low_pass
        scores: NDArray[np.float32] = self.users[users, :d] @ self.vectors[:, :d].T + self.biases
        return scores

    def low_pass(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """By what they predict of the low-pass vectors."""
        d = self.vectors.shape[1] - self.n_low_pass
        scores: NDArray[np.float32] = self.users[users, d:] @ self.vectors[:, d:].T
        return scores

    def columns(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """By the columns of what is most like them."""
        scores: NDArray[np.float32] = (self.histories[users] @ self.item_item).toarray()
        return scores


def _to_find(snapshot: Snapshot, likings: pd.DataFrame) -> tuple[sparse.csr_matrix, NDArray[np.int32]]:
    """Users by pretended newcomers, and rows of these in the snapshot."""
    users = snapshot.user_ids.indices_of(likings["user_id"].tolist())
    items = snapshot.item_ids.indices_of(likings["item_id"].tolist())
    known = (users >= 0) & (items >= snapshot.n_known_items)
    rows, places = np.unique(items[known], return_inverse=True)
    ones = np.ones(int(known.sum()), np.float32)
    return sparse.csr_matrix((ones, (users[known], places)), (len(snapshot.user_ids), len(rows))), rows
