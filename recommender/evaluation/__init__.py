"""Offline evaluation: ranking metrics, splits and confidence intervals. Knows no model, only something that ranks."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.evaluation.intervals import Interval, interval_over_seeds, paired_bootstrap
    from recommender.evaluation.metrics import Evaluation, coverage, evaluate, novelty, popularity_bias, ranking_metrics
    from recommender.evaluation.splits import (
        SPLITS,
        Split,
        cold_items_split,
        cold_users_split,
        global_time_split,
        last_by_time_split,
        random_split,
        split_pairs,
    )
else:
    __getattr__ = lazy_members(
        __name__,
        {
            "Evaluation": "metrics",
            "Interval": "intervals",
            "SPLITS": "splits",
            "Split": "splits",
            "cold_items_split": "splits",
            "cold_users_split": "splits",
            "coverage": "metrics",
            "evaluate": "metrics",
            "global_time_split": "splits",
            "interval_over_seeds": "intervals",
            "last_by_time_split": "splits",
            "novelty": "metrics",
            "paired_bootstrap": "intervals",
            "popularity_bias": "metrics",
            "random_split": "splits",
            "ranking_metrics": "metrics",
            "split_pairs": "splits",
        },
    )

__all__ = [
    "SPLITS",
    "Evaluation",
    "Interval",
    "Split",
    "cold_items_split",
    "cold_users_split",
    "coverage",
    "evaluate",
    "global_time_split",
    "interval_over_seeds",
    "last_by_time_split",
    "novelty",
    "paired_bootstrap",
    "popularity_bias",
    "random_split",
    "ranking_metrics",
    "split_pairs",
]
