"""Training: from interactions and features to a model that is fit to be published."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.catalogue import Catalogue
from recommender.errors import TrainingError
from recommender.evaluation import evaluate, global_time_split
from recommender.features import Features, FeatureSpace
from recommender.frame import SparseFrame
from recommender.model import Indicators, LFMRecommender
from recommender.queries import Query, UserState
from recommender.recommending import Recommender
from recommender.snapshot import Snapshot
from recommender.snapshot_builder import CatalogueEntry, build_snapshot

Progress = Callable[[str], None]
"""Told what begins: ``evaluating``, ``fitting``, ``laying out``."""


@dataclass(frozen=True)
class ModelSettings:
    """How the model is built; the defaults are what did best on MovieLens-100k (README, "How good is it?").

    ``normalise`` divides the weights of an entity's features by their sum; its indicator always weighs 1.
    """

    no_components: int = 64
    loss: str = "warp"
    indicators: Indicators = "both"
    learning_rate: float = 0.02
    learning_schedule: str = "adagrad"
    epochs: int = 50
    max_sampled: int = 10
    user_alpha: float = 0.0
    item_alpha: float = 0.0
    normalise: bool = True
    seed: int = 42
    num_threads: int = 1

    def recommender(self) -> LFMRecommender:
        """Untrained recommender with these settings."""
        lightfm = asdict(self)
        for ours in ("epochs", "normalise", "num_threads", "seed", "indicators"):
            del lightfm[ours]
        return LFMRecommender(self.indicators, random_state=self.seed, **lightfm)


@dataclass(frozen=True)
class TrainingData:
    """All that is known at one moment.

    Parameters
    ----------
    interactions
        ``user_id``, ``item_id``, ``weight``, ``timestamp``.
    users
        Features by user id.
    catalogue
        Items by their id.
    deleted
        Items that are no longer in the catalogue.
    """

    interactions: pd.DataFrame
    users: Mapping[str, Features]
    catalogue: Sequence[CatalogueEntry]
    deleted: Collection[str] = ()

    def trained_on(self) -> dict[str, int]:
        """Counts for the manifest."""
        counts = self.interactions[["user_id", "item_id"]].nunique()
        return {
            "interactions": len(self.interactions),
            "users": int(counts["user_id"]),
            "items": int(counts["item_id"]),
        }


@dataclass(frozen=True)
class Trained:
    """What training gives."""

    model: LFMRecommender
    snapshot: Snapshot
    metrics: Mapping[str, float] = field(default_factory=dict)


def train_full(
    data: TrainingData,
    settings: ModelSettings,
    *,
    holdout: float = 0.1,
    meta: Mapping[str, Any],
    progress: Progress = lambda _: None,
) -> Trained:
    """Judge the settings on the newest interactions, then learn from all of them.

    Parameters
    ----------
    data
        What to learn from.
    settings
        How.
    holdout
        Share of the interactions, the newest, that the judged model does not see; 0 judges nothing.
    meta
        What the snapshot is to say of itself: at least ``log_offset`` and ``items_sequence``.
    progress
        Told what begins.

    Returns
    -------
    Model and snapshot of all interactions; the metrics are those of the same settings fitted without
    the held-out ones and asked to recommend to the users of these.

    Raises
    ------
    TrainingError
        There is nothing to learn from, or the weights are not finite or have exploded.
    """
    if data.interactions.empty:
        raise TrainingError("there are no interactions to learn from; post some to /v1/interactions")
    metrics: Mapping[str, float] = {}
    if holdout > 0:
        progress("evaluating on held-out interactions")
        metrics = judge(data, settings, holdout)
    progress("fitting")
    model, snapshot = _fit(data, settings, {**meta, "trained_on": data.trained_on(), "metrics": dict(metrics)})
    return Trained(model, snapshot, metrics)


def judge(data: TrainingData, settings: ModelSettings, holdout: float) -> Mapping[str, float]:
    """Held-out metrics: fit on the oldest interactions, rank for the users of the newest, as served."""
    older, newer = global_time_split(data.interactions, holdout, seed=settings.seed)
    if older.empty or newer.empty:
        return {}
    past = TrainingData(older, data.users, data.catalogue, data.deleted)
    _, snapshot = _fit(past, settings, {"log_offset": 0, "items_sequence": 0, "version": "candidate"})
    return evaluate_snapshot(snapshot, data.users, older, newer)


def evaluate_snapshot(
    snapshot: Snapshot, users: Mapping[str, Features], older: pd.DataFrame, newer: pd.DataFrame
) -> Mapping[str, float]:
    """Metrics of a snapshot, by the path that serves, on interactions newer than it learned."""
    recommender = Recommender(Catalogue(snapshot))
    user_ids = newer["user_id"].drop_duplicates().tolist()

    def score(rows: NDArray[np.int32]) -> NDArray[np.float32]:
        asked = [user_ids[row] for row in rows.tolist()]
        states = [UserState(dict(users[user_id]) if user_id in users else None) for user_id in asked]
        return recommender.score_many([Query(user_id=user_id) for user_id in asked], states)

    seen = _pairs(older[older["user_id"].isin(user_ids)], user_ids, snapshot)
    return evaluate(score, seen, _pairs(newer, user_ids, snapshot)).means


def _fit(data: TrainingData, settings: ModelSettings, meta: Mapping[str, Any]) -> tuple[LFMRecommender, Snapshot]:
    interactions = SparseFrame.from_interactions(
        data.interactions["user_id"].tolist(),
        data.interactions["item_id"].tolist(),
        data.interactions["weight"].tolist(),
    )
    items = {entry.item_id: entry.features for entry in data.catalogue}
    user_space, user_features = _encoded(list(interactions.rows), data.users, settings)
    item_space, item_features = _encoded(list(interactions.columns), items, settings)
    model = settings.recommender().fit(
        interactions, user_features, item_features, epochs=settings.epochs, num_threads=settings.num_threads
    )
    check_sane(model)
    snapshot = build_snapshot(
        model,
        user_space,
        item_space,
        data.interactions,
        data.catalogue,
        user_features=user_features,
        deleted=data.deleted,
        meta=meta,
    )
    return model, snapshot


def _encoded(
    ids: Sequence[str], features: Mapping[str, Features], settings: ModelSettings
) -> tuple[FeatureSpace, SparseFrame]:
    """Space and rows of those who are trained; what only others have could not be learned."""
    records = [features.get(each, {}) for each in ids]
    space = FeatureSpace.empty(normalise=settings.normalise).extended(records)
    return space, SparseFrame(ids, space.names, space.encode_many(records))


LARGEST_NORM = 1e3
"""Length of a trained embedding beyond which it has exploded; sane ones are below 20."""


def check_sane(model: LFMRecommender) -> None:
    """Raise `TrainingError` when weights are not finite or have exploded, which LightFM lets pass."""
    for name in ("user_embeddings", "item_embeddings", "user_biases", "item_biases"):
        table = getattr(model, name)
        size = float(np.abs(table).max(initial=0.0))
        if not np.isfinite(size) or size > LARGEST_NORM:
            raise TrainingError(f"{name} reach {size:g} after training; lower model.learning_rate")


def _pairs(interactions: pd.DataFrame, user_ids: Sequence[str], snapshot: Snapshot) -> sparse.csr_matrix:
    """User rows by catalogue items; items outside the catalogue cannot be returned and are left out."""
    rows = pd.Index(user_ids).get_indexer(interactions["user_id"])
    columns = snapshot.item_ids.indices_of(interactions["item_id"].tolist())
    kept = columns >= 0
    ones = np.ones(int(kept.sum()), np.float32)
    matrix = sparse.csr_matrix((ones, (rows[kept], columns[kept])), (len(user_ids), snapshot.n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
