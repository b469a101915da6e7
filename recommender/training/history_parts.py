"""History parts: item-item matrix and low-pass filter, fitted to histories and laid out in a snapshot.

``score(u, i) = F(u, i) + a(n) Σ_j x_j W_ji + b(n) Σ_j x_j s_j (l_j · l_i)``: LightFM, and what each of the n
interactions of a history adds by the item-item matrix W and the low-pass filter (l, s); x are recency weights. The
low-pass vectors stand behind LightFM's in the vectors of users and items, and are searched with them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.fold_in import with_history_components
from recommender.models.implicit_als import fit_implicit_als
from recommender.models.item_item import item_item_matrix
from recommender.models.low_pass import LowPass, fit_low_pass
from recommender.models.mixture import LENGTHS, bucket_of
from recommender.serving.history_weights import HistoryWeights
from recommender.serving.snapshot import Rows, Snapshot, Table
from recommender.training.history_choices import HistoryChoices
from recommender.training.recency import weighted_histories

MOST_MEASURED = 500
"""Users on whom scales are measured."""
MEASURED_LENGTH = 10
"""Length of their histories, where there are enough of them: those of users from whom something was held out."""


@dataclass(frozen=True, eq=False, repr=False)
class HistoryParts:
    """Item-item matrix and low-pass filter of the items that have interactions.

    Parameters
    ----------
    item_item
        float32 of shape (n_known_items, n_known_items): row j is what an interaction with j adds to each item.
    low_pass
        Vectors and shares of the items; without components where the filter does not pay.
    weights
        How much they count: in scales that are to be measured, or in those of the snapshot that they are from.
    """

    item_item: sparse.csr_matrix
    low_pass: LowPass
    weights: HistoryChoices | HistoryWeights


def liked_pairs(liked: Rows, n_items: int) -> sparse.csr_matrix:
    """Users by items, 1 for each liking."""
    return weighted_histories(liked, n_items, None)


def fit_history_parts(
    pairs: sparse.csr_matrix, choices: HistoryChoices, *, budget_bytes: int, num_threads: int = 1, seed: int = 0
) -> HistoryParts:
    """Fit the parts to pairs.

    Parameters
    ----------
    pairs
        Users by items: how much each interaction counts.
    choices
        Hyperparameters.
    budget_bytes
        Memory of the fit beside the interactions and the matrix itself.
    num_threads
        How many fit columns.
    seed
        Of the low-pass filter.
    """
    matrix = item_item_matrix(pairs, choices.item_item(budget_bytes), num_threads)
    return HistoryParts(matrix, _vectors(pairs, choices, seed, num_threads), choices)


def _vectors(pairs: sparse.csr_matrix, choices: HistoryChoices, seed: int, num_threads: int) -> LowPass:
    if choices.low_pass and choices.vectors == "als":
        return fit_implicit_als(pairs, choices.implicit_als, seed, num_threads)
    return low_pass_of(pairs, choices.low_pass, seed)


def low_pass_of(pairs: sparse.csr_matrix, n: int, seed: int) -> LowPass:
    """Low-pass filter of the pairs; with `n` 0 one without components."""
    n_items = pairs.shape[1]
    if not n:
        return LowPass(np.zeros((n_items, 0), np.float32), np.zeros(n_items, np.float32))
    return fit_low_pass(pairs, n, seed)


def parts_of(snapshot: Snapshot) -> HistoryParts | None:
    """Parts of a snapshot as an increment goes on with them; None where it has none."""
    if snapshot.history is None:
        return None
    n_known, n = len(snapshot.low_pass_scale), snapshot.history.n_low_pass
    rows = snapshot.item_item
    matrix = sparse.csr_matrix((rows.weights, rows.indices, rows.indptr), (n_known, snapshot.n_items))[:, :n_known]
    vectors = snapshot.items.vectors[:n_known, snapshot.no_components - n :]
    return HistoryParts(matrix, LowPass(vectors, snapshot.low_pass_scale), snapshot.history)


def with_history_parts(
    snapshot: Snapshot, users: NDArray[np.float32], parts: HistoryParts
) -> tuple[Snapshot, NDArray[np.float32]]:
    """Snapshot with the parts, and the vectors of its users with their low-pass components.

    Parameters
    ----------
    snapshot
        With the vectors of LightFM alone.
    users
        Vectors of the users of its histories, shape (n_users, d).
    parts
        Fitted to its histories.
    """
    history = parts.weights
    if isinstance(history, HistoryChoices):
        history = weights_of(snapshot, users, parts, history)
    liked, low_pass = snapshot.liked(), parts.low_pass
    n_known, n = low_pass.items.shape
    weighted = weighted_histories(liked, n_known, history.half_life)
    own = low_pass.users(weighted) * of_lengths(history.low_pass, np.diff(liked.indptr))[:, None]
    added = replace(snapshot, item_item=_rows(parts.item_item), history=history, low_pass_scale=low_pass.shares)
    added, absent = _with_mean_history(added, parts, history)
    nothing = np.zeros((snapshot.n_items - n_known, n), np.float32)
    widened = replace(
        added,
        user_features=_wider(added.user_features, n),
        user_indicators=Table(np.hstack([added.user_indicators.vectors, own]), added.user_indicators.biases),
        item_features=_wider(added.item_features, n),
        newcomer_features=_wider(added.newcomer_features, n),
        items=Table(np.hstack([added.items.vectors, np.vstack([low_pass.items, nothing])]), added.items.biases),
        fold_in_weights=with_history_components(added.fold_in_weights, np.zeros(n, np.float32)),
    )
    return widened, np.hstack([users, absent, own])


def _with_mean_history(
    snapshot: Snapshot, parts: HistoryParts, history: HistoryWeights
) -> tuple[Snapshot, NDArray[np.float32]]:
    """A component that gives whoever has features but no history what the mean history adds.

    Items have it in the vector; features bring 1 of it, and the indicators of known users take it away again, for they
    have their own history. Without it strangers would get LightFM's part alone, which knows less of what is popular.
    """
    weights = _matrix(snapshot.user_rows, len(snapshot.user_features.biases))
    counted = (~snapshot.user_space.are_components()).astype(np.float32)
    totals = (weights @ counted).astype(np.float32).reshape(-1, 1)
    total = float(totals[totals > 0].mean()) if (totals > 0).any() else 1.0
    mean = np.zeros((snapshot.n_items, 1), np.float32)
    mean[: len(parts.low_pass.items), 0] = history.mean_history * mean_history(snapshot.liked(), parts, history)
    absent = -totals / total
    each = counted[:, None] / np.float32(total)
    widened = replace(
        snapshot,
        user_features=_beside(snapshot.user_features, each),
        user_indicators=_beside(snapshot.user_indicators, absent),
        item_features=_wider(snapshot.item_features, 1),
        newcomer_features=_wider(snapshot.newcomer_features, 1),
        items=_beside(snapshot.items, mean),
        fold_in_weights=with_history_components(snapshot.fold_in_weights, np.zeros(1, np.float32)),
    )
    return widened, np.zeros_like(absent)


def score_strangers(snapshot: Snapshot, rows: NDArray[np.integer]) -> NDArray[np.float32]:
    """What LightFM's part gives users by their features alone, shape (len(rows), n_known_items)."""
    items, features = snapshot.items, snapshot.user_features
    n_known = snapshot.n_known_items
    vectors = _matrix(snapshot.user_rows, len(features.biases))[rows] @ features.vectors
    scores: NDArray[np.float32] = vectors @ items.vectors[:n_known].T + items.biases[:n_known]
    return scores


def users_with_features(snapshot: Snapshot) -> NDArray[np.int64]:
    """Rows of known users who have features, at most `MOST_MEASURED`, chosen evenly."""
    users = np.flatnonzero(np.diff(snapshot.user_rows.indptr))
    return users[np.linspace(0, len(users) - 1, min(MOST_MEASURED, len(users))).astype(np.int64)]


def mean_history(liked: Rows, parts: HistoryParts, history: HistoryWeights) -> NDArray[np.float32]:
    """What the parts add on average to the score of each item, all interactions of a history counting the same.

    Whoever begins does not begin with what those like best who have seen the rest.
    """
    rows, n_items = _measured(np.diff(liked.indptr)), len(parts.low_pass.items)
    if not len(rows):
        return np.zeros(n_items, np.float32)
    weighted = weighted_histories(liked, n_items, history.half_life)[rows]
    lengths = np.diff(weighted.indptr)
    weighted.data = np.repeat(np.asarray(weighted.sum(axis=1)).ravel() / lengths, lengths).astype(np.float32)
    a, b = (sparse.diags_array(of_lengths(each, lengths)) for each in (history.item_item, history.low_pass))
    item_item = np.asarray((a @ weighted).mean(axis=0)) @ parts.item_item
    low_pass = parts.low_pass.users(b @ weighted).mean(axis=0) @ parts.low_pass.items.T
    mean: NDArray[np.float32] = (np.ravel(item_item) + low_pass).astype(np.float32)
    return mean


def weights_of(
    snapshot: Snapshot, users: NDArray[np.float32], parts: HistoryParts, choices: HistoryChoices
) -> HistoryWeights:
    """Weights of the parts by length of history: those chosen, in the scales that the parts have now."""
    liked = snapshot.liked()
    n_known = len(parts.low_pass.items)
    rows = _measured(np.diff(liked.indptr))
    weighted = weighted_histories(liked, n_known, choices.half_life)[rows]
    lightfm = users[rows] @ snapshot.items.vectors[:n_known].T + snapshot.items.biases[:n_known]
    item_item = (weighted @ parts.item_item).toarray()
    low_pass = parts.low_pass.users(weighted) @ parts.low_pass.items.T
    spread = _spread(lightfm)
    weights = HistoryWeights(
        half_life=choices.half_life,
        lengths=list(LENGTHS[1:]),
        item_item=_scaled(choices.item_item_weights, spread, _spread(item_item)),
        low_pass=_scaled(choices.low_pass_weights, spread, _spread(low_pass)),
        n_low_pass=parts.low_pass.items.shape[1],
    )
    strangers = users_with_features(snapshot)
    if choices.mean_history is None or not len(strangers):
        return weights
    own = float(mean_history(liked, parts, weights).std())
    factor = _spread(score_strangers(snapshot, strangers)) / own if own > 0 else 0.0
    return msgspec.structs.replace(weights, mean_history=choices.mean_history * factor)


def _measured(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    long = np.flatnonzero(lengths >= MEASURED_LENGTH)
    users = long if len(long) >= MOST_MEASURED // 10 else np.flatnonzero(lengths)
    return users[np.linspace(0, len(users) - 1, min(MOST_MEASURED, len(users))).astype(np.int64)]


def _spread(scores: NDArray[np.float32]) -> float:
    """Mean over users of the standard deviation of their scores."""
    return float(scores.std(axis=1).mean()) if scores.size else 0.0


def _scaled(weights: list[float], lightfm: float, own: float) -> list[float]:
    """Weights of the buckets from a length of 1 on."""
    scale = (lightfm or 1.0) / own if own > 0 else 0.0
    return [weight * scale for weight in weights[1:]]


def of_lengths(weights: list[float], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    """Weight of each user; that of nobody's history is 0."""
    return np.array([0.0, *weights], np.float32)[bucket_of(lengths)]


def _beside(table: Table, column: NDArray[np.float32]) -> Table:
    """Table with one more component."""
    return Table(np.hstack([table.vectors, column]), table.biases)


def _matrix(rows: Rows, n_columns: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((rows.weights, rows.indices, rows.indptr), (len(rows.indptr) - 1, n_columns))


def _wider(table: Table, n: int) -> Table:
    return Table(np.pad(table.vectors, ((0, 0), (0, n))), table.biases)


def _rows(matrix: sparse.csr_matrix) -> Rows:
    return Rows(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data.astype(np.float32))
