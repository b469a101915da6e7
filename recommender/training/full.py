"""Training: from interactions and features to a model that is fit to be published."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recommender.errors import TrainingError
from recommender.evaluation import global_time_split
from recommender.feature_space import Features, FeatureSpace
from recommender.models.early_stopping import EarlyStopping
from recommender.models.feedback import disliked, loss_weights, select_likings, split_joining
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.serving.exclusions import Exclusions
from recommender.serving.snapshot import Snapshot, Table
from recommender.serving.trends.interaction_counts import count_interactions
from recommender.sparse_frame import SparseFrame
from recommender.training.admission import admit
from recommender.training.epoch_choice import WarmStart, hold_out_for_stopping
from recommender.training.histories import histories
from recommender.training.history_choices import HistoryChoices, HoldoutKind, NewcomerWeights
from recommender.training.history_parts import fit_history_parts, liked_pairs
from recommender.training.history_tuning import (
    HeldOut,
    defaults,
    learn_choices,
    pairs_to_find,
    split,
)
from recommender.training.index_builder import APPROXIMATE_ABOVE, indexed
from recommender.training.model_settings import ModelSettings
from recommender.training.newcomer_tuning import learn_newcomers, pretended_new, without_items
from recommender.training.promotion_gate import (
    JudgedOn,
    JudgedSnapshot,
    Verdict,
    compare,
    evaluate_snapshot,
    fault,
    figures,
    newest_users,
    rejected,
)
from recommender.training.serving_transform import to_serving, with_folded_histories
from recommender.training.snapshot_builder import CatalogueEntry, build_snapshot
from recommender.training.stranger_tuning import learn_mean_history
from recommender.training.vector_features import learn_vectors

Progress = Callable[[str], None]
"""Told what begins: ``evaluating``, ``fitting``, ``laying out``."""


@dataclass(frozen=True)
class TrainingData:
    """All that is known at one moment.

    Parameters
    ----------
    interactions
        ``user_id``, ``item_id``, ``weight``, ``timestamp``; a weight of 0 or less is no liking.
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

    @property
    def columns_of_a_pair(self) -> float:
        """Mean number of values of a user's and of an item's features, together."""
        items = [_width(entry.features) for entry in self.catalogue]
        users = [_width(features) for features in self.users.values()]
        return sum(sum(side) / len(side) for side in (items, users) if side)

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
    judged: JudgedOn | None = None
    """What the metrics rest on; None where nothing was held out."""
    choices: HistoryChoices | None = None
    """Of the history parts; None where there are none."""
    epochs: int | None = None
    """Passes after which early stopping ended; None where it did not stop anything."""


@dataclass(frozen=True)
class _Judgement:
    """What the hold-out says of the settings, and of the fit of all interactions."""

    verdict: Verdict
    metrics: Mapping[str, float] = field(default_factory=dict)
    judged: JudgedOn | None = None
    epochs: int | None = None
    """Passes after which early stopping ended; None: it did not."""
    start: WarmStart | None = None
    """With what the fit of all interactions begins; None: from scratch."""


def train_full(
    data: TrainingData,
    settings: ModelSettings,
    *,
    holdout: float = 0.1,
    meta: Mapping[str, Any],
    serving: Snapshot | None = None,
    margin: float = 0.01,
    approximate_above: int | None = APPROXIMATE_ABOVE,
    choices: HistoryChoices | None = None,
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
    choices
        Of the history parts, by an earlier training; learned anew where there are none, or the data has doubled.
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
    if select_likings(data.interactions).empty:
        raise TrainingError("there are no interactions to learn from; post some to /v1/interactions")
    found = _Judgement(Verdict(accepted=True, reason=None, users=0))
    if choices is None or not settings.history.accepts(choices) or choices.is_outgrown(len(data.interactions)):
        progress("tuning on held-out interactions")
        choices = choose(_older(data, settings, holdout), settings)
    if holdout > 0:
        progress("evaluating on held-out interactions")
        found = _judged(data, settings, holdout, serving, margin, choices)
    progress("fitting")
    about = {**meta, "trained_on": data.trained_on(), "metrics": found.metrics}
    settings = settings if found.epochs is None else settings.stopped_after(found.epochs)
    model, snapshot = fit(data, settings, about, choices, start=found.start)
    if snapshot:
        activity = count_interactions(model.items.ids, data.interactions, time.time())
        snapshot = replace(indexed(model, snapshot, approximate_above), activity=activity)
    verdict = found.verdict if snapshot else rejected(fault(model))
    return Trained(model, snapshot, verdict, found.metrics, found.judged, choices, found.epochs)


def judge(data: TrainingData, settings: ModelSettings, holdout: float) -> dict[str, float]:
    """Held-out metrics: fit on the oldest interactions, rank for the users of the newest, as served."""
    choices = choose(_older(data, settings, holdout), settings)
    return dict(_judged(data, settings, holdout, None, 0.0, choices).metrics)


def choose(data: TrainingData, settings: ModelSettings) -> HistoryChoices | None:
    """Choices of the history parts by a hold-out of `data`; None where there are to be no such parts."""
    history = settings.history
    if not history.enabled or settings.indicators != "both":
        return None
    kind = history.kind_for(data.interactions)
    exercise = _exercise(data, kind, settings)
    if exercise is None:
        return defaults(kind, len(data.interactions), history)
    held_out = exercise.held_out
    parts, choices = learn_choices(held_out, kind, history, num_threads=settings.num_threads, seed=settings.seed)
    choices = msgspec.structs.replace(choices, n_interactions=len(data.interactions))
    choices = learn_mean_history(exercise.snapshot, held_out.users, parts, choices, held_out.pairs)
    return learn_newcomers(exercise.snapshot, held_out.users, parts, choices, exercise.newcomers)


@dataclass(frozen=True)
class _Exercise:
    """What teaches the choices: LightFM's part of some interactions, and those that are to be found by it."""

    snapshot: Snapshot
    held_out: HeldOut
    newcomers: pd.DataFrame
    """Likings of items that are taken for new."""


def _exercise(data: TrainingData, kind: HoldoutKind, settings: ModelSettings) -> _Exercise | None:
    """Fit LightFM's part without a hold-out; None where that teaches nothing.

    The parts of the interactions that it makes end with it: the tuning afterwards takes the most memory of a training.
    """
    older, newer = split(data.interactions, kind, settings.seed)
    if select_likings(older).empty or newer.empty:
        return None
    pretended = pretended_new(older, data.catalogue, settings.seed)
    past = replace(data, interactions=without_items(older, pretended))
    quick = settings.quick(len(older), data.columns_of_a_pair)
    model, snapshot = _fit_lightfm(past, quick, {"log_offset": 0, "items_sequence": 0})
    if snapshot is None:
        return None
    snapshot, users = with_folded_histories(model, snapshot)
    n_items = len(model.items.ids)
    items = Table(snapshot.items.vectors[:n_items], snapshot.items.biases[:n_items])
    held_out = HeldOut(users, items, snapshot.liked(), pairs_to_find(model, newer))
    likings = select_likings(data.interactions)
    newcomers = likings[likings["item_id"].isin(list(pretended))]
    return _Exercise(snapshot, held_out, newcomers) if held_out.is_enough else None


def fit(
    data: TrainingData,
    settings: ModelSettings,
    meta: Mapping[str, Any],
    choices: HistoryChoices | None = None,
    stopping: EarlyStopping | None = None,
    start: WarmStart | None = None,
) -> tuple[LFMRecommender, Snapshot | None]:
    """Model and snapshot of all of `data`; no snapshot where the model has a `fault`.

    Without choices there are no history parts; with `start`, LightFM's part goes on from there.
    """
    if _is_quick(choices):
        settings = settings.quick(len(data.interactions), data.columns_of_a_pair)
    model, snapshot = _fit_lightfm(data, settings, meta, stopping, start)
    if snapshot is None:
        return model, None
    parts = None
    if choices is not None and snapshot.n_known_items:
        pairs = liked_pairs(snapshot.liked(), snapshot.n_known_items)
        resources = {"budget_bytes": settings.history.budget_bytes, "num_threads": settings.num_threads}
        parts = fit_history_parts(pairs, choices, **resources, seed=settings.seed)
    return model, to_serving(
        model, snapshot, settings.settling, parts, choices.newcomers if choices else NewcomerWeights()
    )


def _width(features: Features) -> int:
    return sum(len(value) if isinstance(value, list) else 1 for value in features.values())


def _is_quick(choices: HistoryChoices | None) -> bool:
    """Whether LightFM's part is only there for strangers, and need not be trained for long."""
    return choices is not None and not choices.lightfm_pays


def _fit_lightfm(
    data: TrainingData,
    settings: ModelSettings,
    meta: Mapping[str, Any],
    stopping: EarlyStopping | None = None,
    start: WarmStart | None = None,
) -> tuple[LFMRecommender, Snapshot | None]:
    """Model of all of `data`, and its snapshot as `build_snapshot` gives it."""
    joined, apart = split_joining(data.interactions)
    interactions = frame_of(joined)
    items = {entry.item_id: entry.features for entry in data.catalogue}
    of_users, of_items = interactions.counts()
    user_space, user_features = _encoded(list(interactions.rows), of_users, data.users, settings)
    item_space, item_features = _encoded(list(interactions.columns), of_items, items, settings)
    model = settings.recommender()
    weights = loss_weights(interactions) if settings.use_weights else None
    epochs = settings.epochs_for(interactions.matrix.nnz)
    how: dict[str, Any] = {"epochs": epochs, "num_threads": settings.num_threads, "stopping": stopping}
    if start is not None:
        how |= {"epochs": start.epochs_of(epochs), "start": start.model}
    with suppress(TrainingError):  # `fault` says it
        model.fit(interactions, user_features, item_features, weights, **how)
    if fault(model):
        return model, None
    seen = histories(model, joined)
    user_space, item_space = learn_vectors(model, (user_space, item_space), (data.users, items), seen)
    return model, build_snapshot(
        model,
        user_space,
        item_space,
        seen,
        data.catalogue,
        disliked=histories(model, disliked(joined)),
        deleted=data.deleted,
        exclusions=Exclusions.of_pairs(apart),
        meta=meta,
    )


def _older(data: TrainingData, settings: ModelSettings, holdout: float) -> TrainingData:
    """What `holdout` leaves to learn from: what is judged by chooses nothing. All, where nothing is left."""
    older, _ = global_time_split(data.interactions, holdout, seed=settings.seed)
    return data if select_likings(older).empty else replace(data, interactions=older)


def frame_of(interactions: pd.DataFrame) -> SparseFrame:
    """Users by items; weights of repeated interactions add up."""
    return SparseFrame.from_interactions(*(interactions[name] for name in ("user_id", "item_id", "weight")))


def _judged(
    data: TrainingData,
    settings: ModelSettings,
    holdout: float,
    serving: Snapshot | None,
    margin: float,
    choices: HistoryChoices | None,
) -> _Judgement:
    older, newer = global_time_split(data.interactions, holdout, seed=settings.seed)
    nothing = JudgedOn("newest interactions", holdout, 0, 0)
    if select_likings(older).empty or select_likings(newer).empty:
        reason = "there are too few interactions to judge by"
        return _Judgement(Verdict(accepted=True, reason=reason, users=0), judged=nothing)
    learned, stopping = older, None
    if settings.early_stopping and not _is_quick(choices):
        learned, stopping = hold_out_for_stopping(older, settings.seed)
    past = TrainingData(learned, data.users, data.catalogue, data.deleted)
    n_older, unserved = len(older), None if serving is None else older[older["offset"] > serving.log_offset]
    del older, learned  # large, and the fit of the history parts needs room
    about = {"log_offset": 0, "items_sequence": 0, "version": "candidate"}
    model, snapshot = fit(past, settings, about, choices, stopping)
    if snapshot is None:
        return _Judgement(rejected(fault(model)), judged=nothing)
    newer = select_likings(newer)
    metrics, judged = figures(evaluate_snapshot(JudgedSnapshot(snapshot), newest_users(newer), data.users), holdout)
    epochs = None if stopping is None else stopping.best_epochs
    start = WarmStart.after(model, n_older, len(data.interactions))
    if serving is None or unserved is None:
        verdict = Verdict(accepted=True, reason="nothing serves that it could be worse than", users=0)
    else:
        unlearned = newer["offset"] > serving.log_offset
        candidate = JudgedSnapshot(snapshot, newer[~unlearned])
        before = JudgedSnapshot(serving, select_likings(unserved))
        verdict = compare(candidate, before, newer[unlearned], data.users, margin=margin)
    return _Judgement(verdict, metrics, judged, epochs, start)


def _encoded(
    ids: Sequence[str], interactions: NDArray[np.int64], features: Mapping[str, Features], settings: ModelSettings
) -> tuple[FeatureSpace, SparseFrame]:
    """Space and rows of those who are trained; what only others have could not be learned."""
    records = [features.get(each, {}) for each in ids]
    empty = FeatureSpace.empty(normalise=settings.normalise, rare=settings.rare_features)
    space = empty.extended(admit(records, interactions, settings.admission, empty.names))
    return space, SparseFrame(ids, space.names, space.encode_many(records))
