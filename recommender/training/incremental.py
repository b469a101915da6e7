"""Incremental training: a model goes on with what is new.

Warm start with the optimiser's state kept. What is new is trained together with a sample of what was learned
before, and whatever else those users have done is not drawn as a counter-example: so the model follows
what is new and forgets little, at a cost that depends on how much is new.
``benchmarks/learning/incremental.py`` compares.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.errors import TrainingError
from recommender.feature_space import Features, FeatureSpace
from recommender.ids import UNKNOWN
from recommender.models.feedback import disliked, loss_weights, select_likings, split_joining
from recommender.serving.snapshot import Snapshot, without
from recommender.serving.trends.interaction_counts import count_interactions, together
from recommender.sparse_frame import SparseFrame
from recommender.training.admission import FeatureAdmission, admit
from recommender.training.full import Progress, Trained, frame_of
from recommender.training.histories import extended, histories, pairs_of, sampled
from recommender.training.history_choices import NewcomerWeights
from recommender.training.history_increment import refitted
from recommender.training.history_parts import HistoryParts, parts_of
from recommender.training.history_tuning import HistorySettings, defaults
from recommender.training.index_builder import APPROXIMATE_ABOVE, indexed
from recommender.training.promotion_gate import (
    JudgedOn,
    JudgedSnapshot,
    Verdict,
    compare,
    evaluate_snapshot,
    fault,
    figures,
    rejected,
)
from recommender.training.serving_transform import ServingTransform, to_serving
from recommender.training.snapshot_builder import CatalogueEntry, build_snapshot

FEWEST_JUDGING = 50
"""Interactions that judge an increment, of at least twice as many."""


@dataclass(frozen=True)
class IncrementSettings:
    """How a model goes on.

    Parameters
    ----------
    epochs
        Passes over what is new.
    replay
        Interactions of the past that are trained again, as a share of the new ones.
    num_threads, use_weights, settling, admission
        As for a full training; the interactions that count are the new ones.
    refit_s
        Seconds for refitting columns of the item-item matrix, each time that something is learned.
    """

    epochs: int = 10
    replay: float = 1.0
    num_threads: int = 1
    use_weights: bool = False
    settling: ServingTransform = field(default_factory=ServingTransform)
    refit_s: float = 10.0
    admission: FeatureAdmission = field(default_factory=FeatureAdmission)


@dataclass(frozen=True)
class News:
    """What a model has not learned.

    Parameters
    ----------
    interactions
        ``user_id``, ``item_id``, ``weight``, ``timestamp``, in the order of the log; a weight of 0 or less
        is no liking.
    users
        Features of their users.
    catalogue
        All items, as they are now, by id.
    deleted
        Items that are no longer in the catalogue.
    forgotten
        Users who were deleted; what they did later is among the interactions.
    """

    interactions: pd.DataFrame
    users: Mapping[str, Features]
    catalogue: Mapping[str, CatalogueEntry]
    deleted: Collection[str] = ()
    forgotten: Sequence[str] = field(default_factory=list)


def train_increment(
    parent: Trained,
    news: News,
    settings: IncrementSettings,
    *,
    holdout: float = 0.1,
    margin: float = 0.01,
    meta: Mapping[str, Any],
    approximate_above: int | None = APPROXIMATE_ABOVE,
    progress: Progress = lambda _: None,
) -> Trained:
    """Go on with what is new; the newest of it judges what the rest has taught, and is then learned too.

    Parameters
    ----------
    parent
        Where to go on. **Its model is changed**; it must not be used again.
    news
        What to learn.
    settings
        How.
    holdout
        Share of the new interactions that judge, `FEWEST_JUDGING` where there are enough; with 0 none do.
    margin
        As for `compare`.
    meta
        As for `train_full`, with ``trained_on``.
    approximate_above
        As for `train_full`; the lists of the parent's index are kept.
    progress
        Told what begins.

    Returns
    -------
    The same model, grown and trained, and its snapshot; where the verdict is against it, as it was judged.
    """
    model, serving = parent.model, parent.snapshot
    if serving is None:
        raise ValueError("a model without a snapshot cannot go on")
    model.forget_users(news.forgotten)
    step = _Step(parent, serving, news, settings)
    n_judging = _n_judging(len(news.interactions), holdout)
    metrics, verdict = dict[str, float](), Verdict(accepted=True, reason="there is too little to judge it by", users=0)
    judged: JudgedOn | None = None
    n_older = len(news.interactions) - n_judging
    older, newer = news.interactions.iloc[:n_older], news.interactions.iloc[n_older:]
    if n_judging:
        progress("evaluating on held-out interactions")
        snapshot = step.learn(older, {**meta, "version": "candidate"})
        if snapshot is None:
            return Trained(model, None, rejected(fault(model)))
        judging, recent = select_likings(newer), select_likings(older)
        evaluation = evaluate_snapshot(JudgedSnapshot(snapshot), judging, news.users)
        metrics, judged = figures(evaluation, n_judging / len(news.interactions))
        verdict = compare(JudgedSnapshot(snapshot), JudgedSnapshot(serving, recent), judging, news.users, margin=margin)
        if not verdict.accepted:
            return Trained(model, snapshot, verdict, metrics, judged, parent.choices)
    progress("fitting")
    snapshot = step.learn(newer if n_judging else news.interactions, {**meta, "metrics": metrics})
    if snapshot:
        news_of_items = count_interactions(model.items.ids, news.interactions, time.time())
        activity = together(serving.activity, news_of_items)
        snapshot = replace(indexed(model, snapshot, approximate_above, serving.index), activity=activity)
    verdict = verdict if snapshot else rejected(fault(model))
    return Trained(model, snapshot, verdict, metrics, judged, parent.choices)


class _Step:
    """Growing spaces and histories while an increment is learned in one or two parts."""

    def __init__(self, parent: Trained, serving: Snapshot, news: News, settings: IncrementSettings) -> None:
        self._model = model = parent.model
        self._choices = parent.choices
        self._parts = parts_of(serving)
        self._news = news
        self._settings = settings
        self._user_space, self._item_space = serving.user_space, serving.item_space
        self._fold_in_weights = serving.fold_in_weights[:, : model.no_components]
        nothing = news.interactions[:0]
        self._learned = extended(serving.seen, model, nothing, news.forgotten)
        self._disliked = extended(serving.disliked, model, nothing, news.forgotten)
        self._exclusions = serving.exclusions.extended(nothing, news.forgotten)

    def learn(self, interactions: pd.DataFrame, meta: Mapping[str, Any]) -> Snapshot | None:
        interactions, apart = split_joining(interactions, self._model.users.ids, self._model.items.ids)
        self._exclusions = self._exclusions.extended(apart)
        if len(interactions):
            self._fit(interactions)
        if fault(self._model):
            return None
        self._learned = extended(self._learned, self._model, interactions)
        # the last word counts: what is liked now was not disliked before
        changed = without(self._disliked, histories(self._model, select_likings(interactions)))
        self._disliked = extended(changed, self._model, disliked(interactions))
        snapshot = build_snapshot(
            self._model,
            self._user_space,
            self._item_space,
            self._learned,
            list(self._news.catalogue.values()),
            disliked=self._disliked,
            fold_in_weights=self._fold_in_weights,
            deleted=self._news.deleted,
            exclusions=self._exclusions,
            meta=meta,
        )
        if self._parts is not None:
            self._parts = self._refitted(self._parts, snapshot, interactions)
        newcomers = self._choices.newcomers if self._choices else NewcomerWeights()
        return to_serving(self._model, snapshot, self._settings.settling, self._parts, newcomers)

    def _refitted(self, parts: HistoryParts, snapshot: Snapshot, interactions: pd.DataFrame) -> HistoryParts:
        likings = select_likings(interactions)
        gained = self._model.items.ids.indices_of(likings["item_id"].tolist())
        choices = self._choices or defaults("last", len(snapshot.seen.indices), HistorySettings())
        return refitted(
            parts,
            snapshot.liked(),
            gained[gained != UNKNOWN],
            snapshot.n_known_items,
            choices,
            refit_s=self._settings.refit_s,
            num_threads=self._settings.num_threads,
        )

    def _fit(self, interactions: pd.DataFrame) -> None:
        new = frame_of(interactions)
        items = {each: self._news.catalogue[each].features for each in new.columns if each in self._news.catalogue}
        (of_users, of_items), how = new.counts(), self._settings.admission
        self._user_space, users = _encoded(self._user_space, list(new.rows), of_users, self._news.users, how)
        self._item_space, columns = _encoded(self._item_space, list(new.columns), of_items, items, how)
        replay = self._replay(new)
        epochs, num_threads = self._settings.epochs, self._settings.num_threads
        weights = loss_weights(new) if self._settings.use_weights else None
        with suppress(TrainingError):  # `fault` says it
            self._model.fit_partial(new, users, columns, weights, epochs, num_threads, replay=replay)

    def _replay(self, new: SparseFrame) -> SparseFrame:
        """Sampled pairs of the past as 1; as 0 whatever else those users and the new ones have done."""
        wanted = round(self._settings.replay * new.matrix.nnz)
        users, items = sampled(without(self._learned, self._disliked), wanted, seed=len(self._learned.indices))
        known = self._model.users.ids.indices_of(new.rows)
        involved = np.union1d(known[known != UNKNOWN], users).astype(np.int64)
        all_users, all_items = pairs_of(self._learned, involved[involved < len(self._learned.indptr) - 1])
        rows, columns = np.unique(all_users), np.unique(all_items)
        values = np.concatenate([np.zeros(len(all_users), np.float32), np.ones(len(users), np.float32)])
        places = (
            np.searchsorted(rows, np.concatenate([all_users, users])),
            np.searchsorted(columns, np.concatenate([all_items, items])),
        )
        matrix = sparse.coo_matrix((values, places), (len(rows), len(columns))).tocsr()
        side_users, side_items = self._model.users.ids, self._model.items.ids
        return SparseFrame(side_users.ids_of(rows), side_items.ids_of(columns), matrix)


def _n_judging(n: int, holdout: float) -> int:
    if not holdout or n < 2 * FEWEST_JUDGING:
        return 0
    return max(FEWEST_JUDGING, round(holdout * n))


def _encoded(
    space: FeatureSpace,
    ids: Sequence[str],
    interactions: NDArray[np.int64],
    features: Mapping[str, Features],
    admission: FeatureAdmission,
) -> tuple[FeatureSpace, SparseFrame]:
    """Grown space, and rows of those of whom something is said."""
    is_said = np.fromiter((bool(features.get(each)) for each in ids), np.bool_, len(ids))
    said = [ids[place] for place in np.flatnonzero(is_said).tolist()]
    records = [features[each] for each in said]
    grown = space.extended(admit(records, interactions[is_said], admission, space.names))
    return grown, SparseFrame(said, grown.names, grown.encode_many(records))
