"""Metrics and splits. Knows no model, only something that ranks."""

from recommender.evaluation.metrics import Evaluation, evaluate
from recommender.evaluation.splits import global_time_split, last_by_time_split, random_split

__all__ = ["Evaluation", "evaluate", "global_time_split", "last_by_time_split", "random_split"]
