"""Training: from interactions and features to a model that is fit to be published."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from recommender.errors import TrainingError
from recommender.evaluation import global_time_split
from recommender.features import Features, FeatureSpace
from recommender.frame import SparseFrame
from recommender.gate import Contestant, Verdict, compare, evaluate_snapshot, fault, newest_users, rejected
from recommender.histories import histories
from recommender.indexing import APPROXIMATE_ABOVE, indexed
from recommender.model import Indicators, LFMRecommender
from recommender.settling import settled
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
    """What training gives; without a snapshot when the weights are unusable."""

    model: LFMRecommender
    snapshot: Snapshot | None
    verdict: Verdict
    metrics: Mapping[str, float] = field(default_factory=dict)


def train_full(
    data: TrainingData,
    settings: ModelSettings,
    *,
    holdout: float = 0.1,
    meta: Mapping[str, Any],
    serving: Snapshot | None = None,
    margin: float = 0.01,
    approximate_above: int | None = APPROXIMATE_ABOVE,
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
    serving
        What serves now; where it is better by more than `margin` on what neither has learned, the result
        is not accepted. Needs the ``offset`` of the interactions.
    margin
        As for `compare`.
    approximate_above
        Items from which on the snapshot gets an index; None for never.
    progress
        Told what begins.

    Returns
    -------
    Model and snapshot of all interactions; the metrics are those of the same settings fitted without
    the held-out ones and asked to recommend to the users of these.

    Raises
    ------
    TrainingError
        There is nothing to learn from.
    """
    if data.interactions.empty:
        raise TrainingError("there are no interactions to learn from; post some to /v1/interactions")
    metrics, verdict = dict[str, float](), Verdict(accepted=True, reason=None, users=0)
    if holdout > 0:
        progress("evaluating on held-out interactions")
        metrics, verdict = _judged(data, settings, holdout, serving, margin)
    progress("fitting")
    about = {**meta, "trained_on": data.trained_on(), "metrics": metrics}
    model, snapshot = fit(data, settings, about)
    snapshot = snapshot and indexed(model, snapshot, approximate_above)
    return Trained(model, snapshot, verdict if snapshot else rejected(fault(model)), metrics)


def judge(data: TrainingData, settings: ModelSettings, holdout: float) -> dict[str, float]:
    """Held-out metrics: fit on the oldest interactions, rank for the users of the newest, as served."""
    return _judged(data, settings, holdout, None, 0.0)[0]


def fit(data: TrainingData, settings: ModelSettings, meta: Mapping[str, Any]) -> tuple[LFMRecommender, Snapshot | None]:
    """Model and snapshot of all of `data`; no snapshot where the model has a `fault`."""
    interactions = frame_of(data.interactions)
    items = {entry.item_id: entry.features for entry in data.catalogue}
    user_space, user_features = _encoded(list(interactions.rows), data.users, settings)
    item_space, item_features = _encoded(list(interactions.columns), items, settings)
    model = settings.recommender()
    with suppress(TrainingError):  # `fault` says it
        model.fit(interactions, user_features, item_features, epochs=settings.epochs, num_threads=settings.num_threads)
    if fault(model):
        return model, None
    learned = histories(model, data.interactions)
    snapshot = build_snapshot(model, user_space, item_space, learned, data.catalogue, deleted=data.deleted, meta=meta)
    return model, settled(model, snapshot)


def frame_of(interactions: pd.DataFrame) -> SparseFrame:
    """Users by items; weights of repeated interactions add up."""
    columns = (interactions[name].tolist() for name in ("user_id", "item_id", "weight"))
    return SparseFrame.from_interactions(*columns)


def _judged(
    data: TrainingData, settings: ModelSettings, holdout: float, serving: Snapshot | None, margin: float
) -> tuple[dict[str, float], Verdict]:
    older, newer = global_time_split(data.interactions, holdout, seed=settings.seed)
    if older.empty or newer.empty:
        return {}, Verdict(accepted=True, reason="there are too few interactions to judge by", users=0)
    past = TrainingData(older, data.users, data.catalogue, data.deleted)
    model, snapshot = fit(past, settings, {"log_offset": 0, "items_sequence": 0, "version": "candidate"})
    if snapshot is None:
        return {}, rejected(fault(model))
    metrics = evaluate_snapshot(Contestant(snapshot), newest_users(newer), data.users).means
    if serving is None:
        return metrics, Verdict(accepted=True, reason="nothing serves that it could be worse than", users=0)
    unlearned = newer["offset"] > serving.log_offset
    candidate = Contestant(snapshot, newer[~unlearned])
    before = Contestant(serving, older[older["offset"] > serving.log_offset])
    return metrics, compare(candidate, before, newer[unlearned], data.users, margin=margin)


def _encoded(
    ids: Sequence[str], features: Mapping[str, Features], settings: ModelSettings
) -> tuple[FeatureSpace, SparseFrame]:
    """Space and rows of those who are trained; what only others have could not be learned."""
    records = [features.get(each, {}) for each in ids]
    space = FeatureSpace.empty(normalise=settings.normalise).extended(records)
    return space, SparseFrame(ids, space.names, space.encode_many(records))
