"""LightFM with ids for names: it grows, answers the sixteen cases, folds users in, and can be checkpointed."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.models.feedback import Feedback
    from recommender.models.item_item import ItemItemSettings, item_item_matrix
    from recommender.models.lightfm_recommender import LFMRecommender
    from recommender.models.low_pass import LowPass, fit_low_pass
    from recommender.models.popularity import fit_popularity, predict_popularity
else:
    __getattr__ = lazy_members(
        __name__,
        {
            "Feedback": "feedback",
            "ItemItemSettings": "item_item",
            "LFMRecommender": "lightfm_recommender",
            "LowPass": "low_pass",
            "fit_low_pass": "low_pass",
            "fit_popularity": "popularity",
            "item_item_matrix": "item_item",
            "predict_popularity": "popularity",
        },
    )

__all__ = [
    "Feedback",
    "ItemItemSettings",
    "LFMRecommender",
    "LowPass",
    "fit_low_pass",
    "fit_popularity",
    "item_item_matrix",
    "predict_popularity",
]
