"""Metrics and splits. Knows no model, only something that ranks."""

from recommender.evaluation.metrics import Evaluation, coverage, evaluate, novelty, popularity_bias, ranking_metrics
from recommender.evaluation.splits import (
    cold_items_split,
    cold_users_split,
    global_time_split,
    last_by_time_split,
    random_split,
)

__all__ = [
    "Evaluation",
    "cold_items_split",
    "cold_users_split",
    "coverage",
    "evaluate",
    "global_time_split",
    "last_by_time_split",
    "novelty",
    "popularity_bias",
    "random_split",
    "ranking_metrics",
]
