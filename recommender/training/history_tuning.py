"""Tuning of the history parts: what a hold-out teaches of penalty, recency and mixture.

The hold-out has to be of the kind that will be asked. What comes next is told by each user's newest interactions; where
nothing tells an order, any of them stand for the rest. One moment for all, as the promotion gate has it, leaves too few
users who were known before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.evaluation import split_pairs
from recommender.models.feedback import select_likings
from recommender.models.implicit_als import ImplicitALSSettings, fit_implicit_als
from recommender.models.item_item import ItemItemSettings, item_item_matrix, with_largest
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.models.low_pass import LowPass
from recommender.models.mixture import FEWEST, LENGTHS, Score, learn_mixture, ndcg_of, sure_gain
from recommender.serving.snapshot import Rows, Table
from recommender.training.history_choices import HistoryChoices, HoldoutKind, Vectors
from recommender.training.history_parts import HistoryParts, liked_pairs, low_pass_of
from recommender.training.implicit_als_tuning import tune_implicit_als
from recommender.training.item_item_tuning import tune_item_item
from recommender.training.recency import learn_half_life, weighted_histories

HELD_OUT = 0.1
"""Share of the interactions that teach."""
KEPT = (0.5, 0.75)
"""Shares of the weights of a column, the largest, that may be enough."""
MOST_LOST = 0.003
"""Of ndcg, by keeping fewer weights: rows are read for each answer."""
MANY_COMPONENTS = 64
"""Components of the low-pass filter from which on twice as many have to gain surely."""
ORDERED = 0.1
"""Share of a user's interactions that must have another time than the one before, for time to tell an order."""
NUMBERED_BELOW = 1e8
"""Whole rising numbers below this, in seconds, are numbers of rows: the year 1973."""
ALS_SHARE = 0.5
"""Processor time for tuning implicit ALS, as a share of that for the item-item matrix."""
PRIOR_LOW_PASS = 0.5
"""Weight of the low-pass filter, in scales, that is kept where nothing tells an order.

A random hold-out has the frequencies of what it was drawn from, and values what is true of pairs that were seen; what
comes later favours what is true of their neighbourhood.
"""

Kind = Literal["auto", "last", "random"]


@dataclass(frozen=True)
class HistorySettings:
    """How the parts of a score that are sums over the history are built.

    Parameters
    ----------
    enabled
        Whether there are any. They need the indicators of both sides.
    low_pass
        Components of the low-pass filter, at most; 0 for none. More than `MANY_COMPONENTS` only where they gain.
    holdout_kind
        What teaches how much each counts: each user's newest interactions (``last``), any (``random``), or by whether
        timestamps tell an order (``auto``).
    tune_s
        Seconds of processor time for the tuning of the item-item matrix, and half as many for that of implicit ALS;
        small data takes less.
    item_item_mib
        Memory of its fit beside the interactions and the matrix itself.
    """

    enabled: bool = True
    low_pass: int = 128
    holdout_kind: Kind = "auto"
    tune_s: float = 60.0
    item_item_mib: int = 1024

    @property
    def budget_bytes(self) -> int:
        """Memory of a fit."""
        return self.item_item_mib << 20

    def accepts(self, choices: HistoryChoices) -> bool:
        """Whether choices that were learned earlier are of the kind that is wanted."""
        return self.enabled and self.holdout_kind in ("auto", choices.holdout) and choices.low_pass <= self.low_pass

    def kind_for(self, interactions: pd.DataFrame) -> HoldoutKind:
        """Kind of the hold-out for these interactions."""
        if self.holdout_kind != "auto":
            return self.holdout_kind
        return "last" if tells_order(interactions) else "random"


@dataclass(frozen=True)
class HeldOut:
    """LightFM's part fitted without the held-out interactions, and these.

    Parameters
    ----------
    users
        Vectors of users as they serve, shape (n_users, d).
    items
        Vectors and biases of items.
    liked
        Histories in order of time.
    pairs
        Users by items: what is to be found.
    """

    users: NDArray[np.float32]
    items: Table
    liked: Rows
    pairs: sparse.csr_matrix

    def score(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """Scores of LightFM's part, shape (n_users, n_items)."""
        scores: NDArray[np.float32] = self.users[users] @ self.items.vectors.T + self.items.biases
        return scores

    @property
    def is_enough(self) -> bool:
        """Whether anything can be learned."""
        return int(np.count_nonzero(np.diff(self.pairs.indptr))) >= FEWEST


def tells_order(interactions: pd.DataFrame) -> bool:
    """Whether timestamps tell in which order users did things, and are not just numbers of rows."""
    times = interactions["timestamp"].to_numpy(np.float64)
    if len(times) < 2 or not np.isfinite(times).all():
        return False
    steps = np.diff(times)
    if times.max() < NUMBERED_BELOW and (steps > 0).all() and (times == np.floor(times)).all():
        return False
    users = pd.factorize(interactions["user_id"])[0]
    order = np.lexsort((times, users))
    of_same_user = users[order][1:] == users[order][:-1]
    apart = np.diff(times[order]) > 0
    return bool(apart[of_same_user].mean() >= ORDERED) if of_same_user.any() else False


def split(interactions: pd.DataFrame, kind: HoldoutKind, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is fitted, and the likings that are to be found."""
    older, newer = split_pairs(kind, interactions, HELD_OUT, seed)
    return older, select_likings(newer)


def pairs_to_find(model: LFMRecommender, held_out: pd.DataFrame) -> sparse.csr_matrix:
    """Users by items of a model: held-out interactions of those that it knows."""
    users = model.users.ids.indices_of(held_out["user_id"])
    items = model.items.ids.indices_of(held_out["item_id"])
    known = (users >= 0) & (items >= 0)
    ones = np.ones(int(known.sum()), np.float32)
    return sparse.csr_matrix((ones, (users[known], items[known])), (len(model.users.ids), len(model.items.ids)))


def learn_choices(
    held_out: HeldOut, kind: HoldoutKind, settings: HistorySettings, *, num_threads: int = 1, seed: int = 0
) -> tuple[HistoryParts, HistoryChoices]:
    """Learn the hyperparameters of the parts and their weights.

    Parameters
    ----------
    held_out
        What teaches.
    kind
        Its kind.
    settings
        Bounds of what is tried.
    num_threads
        Of each fit.
    seed
        Of the low-pass filter.

    Returns
    -------
    Parts as they were fitted without the held-out interactions, and what was learned.
    """
    liked, wanted = held_out.liked, held_out.pairs
    pairs = liked_pairs(liked, wanted.shape[1])
    start = ItemItemSettings(budget_bytes=settings.budget_bytes)
    tuned = tune_item_item(pairs, wanted, settings.tune_s, start=start, num_threads=num_threads).settings
    matrix = item_item_matrix(pairs, tuned, num_threads)
    kept = enough_weights(matrix, tuned.neighbours, pairs, wanted)
    matrix = with_largest(matrix, kept)
    choices = defaults(kind, pairs.nnz + wanted.nnz, settings, replace(tuned, kept=kept))
    half_life = None
    if kind == "last":
        half_life = learn_half_life(lambda histories: (histories @ matrix).toarray(), liked, wanted)
    weighted = weighted_histories(liked, wanted.shape[1], half_life)
    parts: dict[str, Score] = {
        "lightfm": held_out.score,
        "item_item": lambda users: (weighted[users] @ matrix).toarray(),
    }
    prior = PRIOR_LOW_PASS if settings.low_pass and kind == "random" and settings.holdout_kind == "auto" else 0.0
    low_pass = enough_components(low_pass_of(pairs, settings.low_pass, seed), pairs, wanted)
    rivals: list[tuple[Vectors, LowPass]] = [("low_pass", low_pass)]
    if settings.low_pass and not prior:
        als = tuned_als(pairs, wanted, settings, seed=seed, num_threads=num_threads)
        choices = msgspec.structs.replace(choices, als_confidence=als.confidence, als_penalty=als.penalty)
        rivals.append(("als", fit_implicit_als(pairs, als, seed, num_threads)))
    learned = [
        (name, vectors, learn_mixture(parts | _part_of(vectors, weighted), pairs, wanted)) for name, vectors in rivals
    ]
    name, vectors, mixture = max(learned, key=lambda each: each[2].ndcg["mixture"])
    choices = msgspec.structs.replace(choices, low_pass=vectors.items.shape[1], vectors=name)
    choices = choices.taught(mixture, half_life, prior)
    return HistoryParts(matrix, vectors if choices.low_pass else low_pass_of(pairs, 0, seed), choices), choices


def tuned_als(
    pairs: sparse.csr_matrix, wanted: sparse.csr_matrix, settings: HistorySettings, *, seed: int, num_threads: int
) -> ImplicitALSSettings:
    """Settings of implicit ALS that do best alone, found in `ALS_SHARE` of the time for tuning."""
    return tune_implicit_als(
        pairs,
        wanted,
        ALS_SHARE * settings.tune_s,
        start=ImplicitALSSettings(min(settings.low_pass, MANY_COMPONENTS)),
        most_components=settings.low_pass,
        seed=seed,
        num_threads=num_threads,
    ).settings


def _part_of(vectors: LowPass, weighted: sparse.csr_matrix) -> dict[str, Score]:
    """Scores by what vectors of items sum up to over weighted histories; nothing without components."""
    if not vectors.items.shape[1]:
        return {}
    return {"low_pass": lambda users: vectors.users(weighted[users]) @ vectors.items.T}


def enough_weights(
    matrix: sparse.csr_matrix, neighbours: int, train: sparse.csr_matrix, held_out: sparse.csr_matrix
) -> int | None:
    """Weights of a column, the largest, that lose at most `MOST_LOST` of ndcg; None where all are needed."""

    def reached(kept: int | None) -> float:
        fewer = with_largest(matrix, kept)
        return float(ndcg_of(lambda users: (train[users] @ fewer).toarray(), train, held_out).mean())

    whole = reached(None)
    tried = (max(1, round(share * neighbours)) for share in KEPT)
    return next((kept for kept in tried if reached(kept) >= (1 - MOST_LOST) * whole), None)


def enough_components(low_pass: LowPass, train: sparse.csr_matrix, held_out: sparse.csr_matrix) -> LowPass:
    """Low-pass filter with the slowest `MANY_COMPONENTS`, and with all where these are surely better alone."""
    if low_pass.items.shape[1] <= MANY_COMPONENTS:
        return low_pass
    fewer = LowPass(np.ascontiguousarray(low_pass.items[:, :MANY_COMPONENTS]), low_pass.shares)
    all_of_them, some = (
        ndcg_of(lambda users, each=each: each.users(train[users]) @ each.items.T, train, held_out)  # type: ignore[misc]
        for each in (low_pass, fewer)
    )
    return low_pass if sure_gain(all_of_them - some) > 0 else fewer


def defaults(
    kind: HoldoutKind, n_interactions: int, settings: HistorySettings, item_item: ItemItemSettings | None = None
) -> HistoryChoices:
    """Choices where nothing teaches better ones."""
    item_item = item_item or ItemItemSettings()
    return HistoryChoices(
        holdout=kind,
        n_interactions=n_interactions,
        neighbours=item_item.neighbours,
        kept=item_item.kept,
        penalty=item_item.penalty,
        length_exponent=item_item.length_exponent,
        low_pass=min(settings.low_pass, MANY_COMPONENTS),
        half_life=None,
        lightfm_pays=True,
        item_item_weights=[1.0] * len(LENGTHS),
        low_pass_weights=[PRIOR_LOW_PASS] * len(LENGTHS),
    )
