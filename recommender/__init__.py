"""The library: a hybrid recommender, its training and its stores. Knows nothing of Ray or HTTP."""

from recommender.features import FeatureSpace
from recommender.frame import SparseFrame
from recommender.model import LFMRecommender

__all__ = ["FeatureSpace", "LFMRecommender", "SparseFrame"]
