"""Gate: whether a candidate may take the place of the version that serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.evaluation import Evaluation, evaluate
from recommender.feature_space import Features
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.schema import Query, UserState
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot

PROMOTION_METRIC = "ndcg@10"
MAX_EVALUATED_USERS = 2_000
"""Users that are judged; of more, the newest."""
LEAST_JUDGED = 5
"""Users below which there are no metrics: chance alone makes them."""
FEW_JUDGED = 200
"""Users below which it is said that they are few."""
CONFIDENCE = 1.645
"""Standard errors by which a candidate must be worse, so that chance alone rejects one in twenty."""
LARGEST_NORM = 1e3
"""Length of a trained embedding beyond which it has exploded; sane ones are below 20."""

NO_ROWS = pd.DataFrame({"user_id": [], "item_id": []}, dtype=object)


class JudgedSnapshot(NamedTuple):
    """A snapshot, and what it has not learned of what came before the interactions that judge it."""

    snapshot: Snapshot
    recent: pd.DataFrame = NO_ROWS
    """``user_id``, ``item_id``, oldest first; folded in, as when serving."""


class JudgedOn(msgspec.Struct, frozen=True):
    """What held-out metrics rest on; a manifest keeps it."""

    split: str
    """Which interactions were held out."""
    share: float
    """Of all."""
    users: int
    pairs: int
    """Of a user and an item to find that they had not had before."""

    @property
    def is_enough(self) -> bool:
        """Whether metrics say anything."""
        return self.users >= LEAST_JUDGED

    def __str__(self) -> str:
        told = f"{self.pairs} pairs of {self.users} users: the {self.split}, {self.share * 100:g} % of all"
        if not self.is_enough:
            return f"not judged: there are only {told}"
        return f"judged on {told}" + ("; that is little to judge by" if self.users < FEW_JUDGED else "")


class Verdict(msgspec.Struct, frozen=True):
    """What the gate found; a manifest keeps it."""

    accepted: bool
    reason: str | None
    users: int
    """How many were judged."""
    candidate: float | None = None
    """Mean ndcg@10 of the candidate."""
    serving: float | None = None
    """That of the version that serves."""


def compare(
    candidate: JudgedSnapshot,
    serving: JudgedSnapshot,
    judging: pd.DataFrame,
    users: Mapping[str, Features],
    *,
    margin: float,
) -> Verdict:
    """Judge both on the same interactions, which neither has learned, as both would serve.

    The candidate is rejected when its mean ndcg@10 over the users is worse than the other's by more
    than `margin`, beyond chance (a paired, one-sided test at 5 %).

    Parameters
    ----------
    candidate, serving
        The two.
    judging
        ``user_id``, ``item_id``; items that one of the two does not have are left out.
    users
        Features of the users.
    margin
        Absolute difference that is tolerated.
    """
    both = [each.snapshot.item_ids for each in (candidate, serving)]
    item_ids = judging["item_id"]
    shared = np.all([ids.indices_of(item_ids) >= 0 for ids in both], axis=0)
    judged = newest_users(judging[shared])
    new, old = (_by_user(evaluate_snapshot(each, judged, users), judged) for each in (candidate, serving))
    difference = (new - old).dropna()
    if difference.empty:
        return Verdict(accepted=True, reason="there was nothing to judge it by", users=0)
    means = [round(float(each[difference.index].mean()), 4) for each in (new, old)]
    error = float(difference.std(ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else np.inf
    if float(difference.mean()) + CONFIDENCE * error >= -margin:
        return Verdict(True, None, len(difference), *means)
    reason = f"{PROMOTION_METRIC} fell from {means[1]} to {means[0]} on {len(difference)} users, by more than {margin}"
    return Verdict(False, reason, len(difference), *means)


def evaluate_snapshot(contestant: JudgedSnapshot, judging: pd.DataFrame, users: Mapping[str, Features]) -> Evaluation:
    """Metrics of a snapshot by the path that serves; a row for each user of `judging`, in order of appearance."""
    snapshot, recent = contestant
    recommender = Recommender(Catalogue(snapshot))
    user_ids = judging["user_id"].drop_duplicates().tolist()
    clicked = recent.groupby("user_id", sort=False)["item_id"].agg(tuple).to_dict() if len(recent) else {}

    def score(rows: NDArray[np.int32]) -> NDArray[np.float32]:
        asked = [user_ids[row] for row in rows.tolist()]
        queries = [Query(user_id=user_id, recent=clicked.get(user_id, ())) for user_id in asked]
        states = [UserState(dict(users[user_id]) if user_id in users else None) for user_id in asked]
        return recommender.score_many(queries, states)

    return evaluate(score, _seen(snapshot, user_ids, clicked), _pairs(judging, user_ids, snapshot))


def figures(evaluation: Evaluation, share: float) -> tuple[dict[str, float], JudgedOn]:
    """Metrics on the newest interactions, and what they rest on; no metrics where that is next to nothing."""
    judged = JudgedOn("newest interactions", share, len(evaluation.users), evaluation.n_pairs)
    return (evaluation.means if judged.is_enough else {}), judged


def newest_users(judging: pd.DataFrame) -> pd.DataFrame:
    """Rows of the `MAX_EVALUATED_USERS` users who come last."""
    user_ids = judging["user_id"].drop_duplicates(keep="last")
    if len(user_ids) <= MAX_EVALUATED_USERS:
        return judging
    return judging[judging["user_id"].isin(user_ids.tail(MAX_EVALUATED_USERS))]


def rejected(reason: str | None) -> Verdict:
    """Verdict on a model that need not be compared."""
    return Verdict(accepted=False, reason=reason, users=0)


def fault(model: LFMRecommender) -> str | None:
    """What makes a model unusable: weights that are not finite or have exploded, which LightFM lets pass."""
    for name in ("user_embeddings", "item_embeddings", "user_biases", "item_biases"):
        table = getattr(model, name)
        size = float(np.abs(table).max(initial=0.0))
        if not np.isfinite(size) or size > LARGEST_NORM:
            return f"{name} reach {size:g} after training; lower model.learning_rate"
    return None


def _by_user(evaluation: Evaluation, judging: pd.DataFrame) -> pd.Series[float]:
    user_ids = judging["user_id"].drop_duplicates().to_numpy()
    return pd.Series(evaluation.per_user[PROMOTION_METRIC], index=user_ids[evaluation.users])


def _seen(snapshot: Snapshot, user_ids: Sequence[str], clicked: Mapping[str, Sequence[str]]) -> sparse.csr_matrix:
    rows = [
        np.concatenate([snapshot.learned_items(user_id), snapshot.item_ids.indices_of(clicked.get(user_id, ()))])
        for user_id in user_ids
    ]
    lengths = [len(row) for row in rows]
    users = np.repeat(np.arange(len(user_ids)), lengths)
    return _binary(users, np.concatenate([*rows, np.zeros(0, np.int32)]), (len(user_ids), snapshot.n_items))


def _pairs(interactions: pd.DataFrame, user_ids: Sequence[str], snapshot: Snapshot) -> sparse.csr_matrix:
    """User rows by catalogue items; items outside the catalogue cannot be returned and are left out."""
    rows = pd.Index(user_ids).get_indexer(interactions["user_id"])
    columns = snapshot.item_ids.indices_of(interactions["item_id"])
    return _binary(rows, columns, (len(user_ids), snapshot.n_items))


def _binary(rows: NDArray[np.int64], columns: NDArray[np.int32], shape: tuple[int, int]) -> sparse.csr_matrix:
    there = columns >= 0
    ones = np.ones(int(there.sum()), np.float32)
    matrix = sparse.csr_matrix((ones, (rows[there], columns[there])), shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
