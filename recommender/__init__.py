"""The library: a hybrid recommender, its training and its stores. Knows nothing of Ray or HTTP."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recommender.feature_space import FeatureSpace
    from recommender.models.lightfm_recommender import LFMRecommender
    from recommender.sparse_frame import SparseFrame

__all__ = ["FeatureSpace", "LFMRecommender", "SparseFrame"]

_HOMES = {
    "FeatureSpace": "feature_space",
    "SparseFrame": "sparse_frame",
    "LFMRecommender": "models.lightfm_recommender",
}


def __getattr__(name: str) -> Any:
    # imported when asked for: a process that only stores or forwards starts without scipy and LightFM
    if name in _HOMES:
        return getattr(import_module(f"recommender.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'recommender' has no attribute {name!r}")
