"""Metrics, splits and confidence. Knows no model, only something that ranks."""

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
