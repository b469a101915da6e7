"""The library: a hybrid recommender, its training and its stores. Knows nothing of Ray or HTTP."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.feature_space import FeatureSpace
    from recommender.models.lightfm_recommender import LFMRecommender
    from recommender.schema import Query
    from recommender.sparse_frame import SparseFrame
else:
    __getattr__ = lazy_members(
        __name__,
        {
            "FeatureSpace": "feature_space",
            "LFMRecommender": "models.lightfm_recommender",
            "Query": "schema",
            "SparseFrame": "sparse_frame",
        },
    )

__all__ = ["FeatureSpace", "LFMRecommender", "Query", "SparseFrame"]
