"""Comparison of candidate models over several seeds, with confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.datasets.dataset import Dataset
from recommender.evaluation import Interval, interval_over_seeds, paired_bootstrap
from recommender.experiments.candidates import OURS, Candidate, Settings
from recommender.experiments.folds import FIXED, Fold, Size, fold_of, validation_of
from recommender.experiments.scoring import Costs, Judged, MeasuredScore, candidate_sets, judged
from recommender.experiments.tuning import trials_of, tuned

MANY_ITEMS = 20_000
"""Items above which metrics of the whole ranking are left out: sorting takes longer than learning."""
FEW_USERS, FEW_PAIRS = 200, 500
"""Below these, chance moves a mean by more than one recommender differs from another."""

Progress = Callable[[str], object]
"""Told what has been done: ``als, trial``, ``ours, seed 2``."""


@dataclass(frozen=True)
class ComparisonPlan:
    """Settings of a comparison: split, seeds, trials of tuning, length of lists.

    Parameters
    ----------
    split
        A name of `SPLITS`, or `FIXED`.
    share
        Of what is held out; with `FIXED` only to tune peers by.
    seeds
        One split and one training for each.
    trials
        Settings that each peer may try on a validation split of the first seed; 1 takes the defaults.
    k
        Length of the lists.
    """

    split: str = "random"
    share: float = 0.2
    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    trials: int = 8
    k: int = 10

    @property
    def n_seeds(self) -> int:
        """How many splits there are."""
        return len(self.seeds)


@dataclass(frozen=True, eq=False)
class ComparisonResult:
    """Results of a comparison.

    Parameters
    ----------
    plan
        What was asked.
    settings
        By contender, those that were chosen.
    results
        By set of candidates and contender, a `Judged` for each seed.
    notes
        What a reader has to know.
    judged
        How many users and pairs are judged, for each seed.
    n_pairs
        How many different pairs the data has.
    """

    plan: ComparisonPlan
    settings: Mapping[str, Settings]
    results: Mapping[str, Mapping[str, Sequence[Judged]]]
    notes: Sequence[str] = field(default_factory=tuple)
    judged: Sequence[Size] = field(default_factory=tuple)
    n_pairs: int = 0

    def interval(self, candidates: str, contender: str, metric: str) -> Interval:
        """Mean of a metric over the seeds."""
        means = [each.means for each in self.results[candidates][contender]]
        return interval_over_seeds([mean[metric] for mean in means if metric in mean])

    def difference(self, candidates: str, contender: str, metric: str) -> Interval:
        """Ours less a contender's, by paired bootstrap over users; coverage is of no user and has none."""
        ours, theirs = self.results[candidates][OURS], self.results[candidates][contender]
        pairs = [(a.evaluation, b.evaluation) for a, b in zip(ours, theirs, strict=True)]
        if any(metric not in a.per_user for a, _ in pairs):
            return Interval(np.nan, np.nan, np.nan)
        users: NDArray[np.int32] = np.concatenate([a.users for a, _ in pairs])
        differences = np.concatenate([a.per_user[metric] - b.per_user[metric] for a, b in pairs])
        known = ~np.isnan(differences)
        return paired_bootstrap(users[known], differences[known])

    def costs(self, contender: str) -> Costs | None:
        """Mean costs over the seeds."""
        each = [judged.costs for judged in next(iter(self.results.values()))[contender] if judged.costs]
        return Costs(*(float(np.mean(values)) for values in zip(*each, strict=True))) if each else None

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics."""
        first = next(iter(self.results.values()))[OURS][0]
        return list(first.means)

    def to_json(self) -> dict[str, Any]:
        """Everything but the single users, for machines; what cannot be known is null."""
        return {
            "split": self.plan.split,
            "holdout": self.plan.share,
            "pairs": self.n_pairs,
            "judged": [size._asdict() for size in self.judged],
            "seeds": list(self.plan.seeds),
            "k": self.plan.k,
            "trials": self.plan.trials,
            "settings": {name: dict(settings) for name, settings in self.settings.items()},
            "notes": list(self.notes),
            "candidates": {
                candidates: {name: self._of(candidates, name) for name in by_name}
                for candidates, by_name in self.results.items()
            },
        }

    def _of(self, candidates: str, name: str) -> dict[str, Any]:
        results, costs = self.results[candidates][name], self.costs(name)
        return {
            "costs": costs._asdict() if costs else None,
            "learned": [dict(each.learned) for each in results if each.learned],
            "users": [len(each.evaluation.users) for each in results],
            "metrics": {
                metric: {
                    **_plain(self.interval(candidates, name, metric)),
                    "by_seed": [_or_none(each.means.get(metric, np.nan)) for each in results],
                }
                for metric in self.metrics
            },
            "ours_less_this": {
                metric: _plain(self.difference(candidates, name, metric)) for metric in self.metrics if name != OURS
            },
        }


def compare(
    source: Dataset | Fold, contenders: Sequence[Candidate], plan: ComparisonPlan, progress: Progress = lambda _: None
) -> tuple[ComparisonResult, Fold]:
    """Judge contenders on the same splits.

    Each is tuned once, on a validation split of what the first seed learns from, by the same number of trials;
    one whose name is `OURS` keeps its defaults, which is what anyone gets who sets nothing.

    Parameters
    ----------
    source
        What they learn from and are judged by; a fold is judged as it is, and its seeds are those of training.
    contenders
        With different names; one of them is `OURS`.
    plan
        How.
    progress
        Told what has been done, `steps_of` times.

    Returns
    -------
    The contest, and the fold of the first seed for a closer look.

    Raises
    ------
    InvalidRequestError
        The data leaves nothing to learn from or to judge by.
    """
    first = _fold(source, plan, plan.seeds[0])
    contenders, notes = _fitting(contenders, len(first.item_ids))
    validation = validation_of(first, _validated_by(plan), plan.share) if plan.trials > 1 else None
    settings: dict[str, Settings] = {}
    for contender in contenders:
        trials = _trials(contender, plan)
        if len(trials) > 1 and validation is not None:
            tried = partial(progress, f"{contender.name}, trial")
            settings[contender.name] = tuned(contender, validation, trials, plan.k, tried)
        else:
            settings[contender.name] = trials[0]
    results: dict[str, dict[str, list[Judged]]] = {}
    sizes: list[Size] = []
    for seed in plan.seeds:
        fold = first if seed == plan.seeds[0] else _fold(source, plan, seed)
        sizes.append(fold.n_judged)
        for contender in contenders:
            for candidates, found in _judged(contender, fold, settings[contender.name], plan).items():
                results.setdefault(candidates, {}).setdefault(contender.name, []).append(found)
            progress(f"{contender.name}, seed {seed}")
    untuned = plan.trials > 1 and validation is None
    notes += _notes(first, plan, untuned=untuned)
    return ComparisonResult(plan, settings, results, notes, sizes, first.n_pairs), first


def steps_of(contenders: Sequence[Candidate], plan: ComparisonPlan) -> int:
    """How often `compare` tells of progress, at most."""
    trials = (len(_trials(contender, plan)) for contender in contenders)
    return sum(n for n in trials if n > 1) + len(contenders) * plan.n_seeds


def _trials(contender: Candidate, plan: ComparisonPlan) -> Sequence[Settings]:
    return [{}] if contender.name == OURS else trials_of(contender.space, plan.trials)


def _fold(source: Dataset | Fold, plan: ComparisonPlan, seed: int) -> Fold:
    if isinstance(source, Fold):
        return replace(source, seed=seed)
    return fold_of(source, plan.split, plan.share, seed)


def _fitting(contenders: Sequence[Candidate], n_items: int) -> tuple[list[Candidate], list[str]]:
    """Contenders that so many items are not too many for, and what is to be said of the others."""
    fitting = [each for each in contenders if each.most_items is None or n_items <= each.most_items]
    notes = [
        f"{each.name} is left out: it does not fit into memory with {n_items} items, at most with {each.most_items}."
        for each in contenders
        if each not in fitting
    ]
    return fitting, notes


def _validated_by(plan: ComparisonPlan) -> str:
    return "random" if plan.split == FIXED else plan.split


def _judged(contender: Candidate, fold: Fold, settings: Settings, plan: ComparisonPlan) -> dict[str, Judged]:
    score = MeasuredScore(lambda: contender.fit(fold, settings))
    lists_only = len(fold.item_ids) > MANY_ITEMS
    return {
        candidates: judged(fold, score, plan.k, mask, lists_only=lists_only)
        for candidates, mask in candidate_sets(fold, plan.split).items()
    }


def _notes(fold: Fold, plan: ComparisonPlan, *, untuned: bool) -> list[str]:
    notes = []
    timestamps = fold.dataset.interactions["timestamp"].to_numpy()
    if plan.split in ("last", "global") and np.array_equal(timestamps, np.arange(len(timestamps))):
        notes.append("The data has no timestamps: the order of its rows stands for time.")
    if plan.split == "cold-items" and not any(entry.features for entry in fold.catalogue):
        notes.append("No item has features: nothing tells one cold item from another.")
    if plan.split == "cold-users" and not any(fold.users.values()):
        notes.append("No user has features: cold users get what is popular.")
    if untuned:
        notes.append("There is too little to split off a validation set: all contenders have their defaults.")
    if len(fold.item_ids) > MANY_ITEMS:
        notes.append(f"Of more than {MANY_ITEMS} items mrr and auc, which need all of them in order, are left out.")
    users, pairs = fold.n_judged
    if users < FEW_USERS or pairs < FEW_PAIRS:
        notes.append(
            f"Only {pairs} pairs of {users} users are judged by: the figures say little, most of all those of one seed."
        )
    return notes


def _plain(interval: Interval) -> dict[str, float | None]:
    return {name: _or_none(value) for name, value in interval._asdict().items()}


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
