"""Offline comparison with baselines, hyperparameter search, and the report of both."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.experiments.comparison import ComparisonPlan, ComparisonResult, compare
    from recommender.experiments.folds import Fold, fold_of
else:
    __getattr__ = lazy_members(
        __name__,
        {
            "ComparisonResult": "comparison",
            "Fold": "folds",
            "ComparisonPlan": "comparison",
            "compare": "comparison",
            "fold_of": "folds",
        },
    )

__all__ = ["ComparisonPlan", "ComparisonResult", "Fold", "compare", "fold_of"]
