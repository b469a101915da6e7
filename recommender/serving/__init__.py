"""From a snapshot and a request to an answer: retrieval, filters, boosts, diversification, explanation."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.serving.batch import BatchRecommender
    from recommender.serving.catalogue import Catalogue
    from recommender.serving.filters import Filter
    from recommender.serving.recommender import Recommender
    from recommender.serving.snapshot import Snapshot
else:
    __getattr__ = lazy_members(
        __name__,
        {
            "BatchRecommender": "batch",
            "Catalogue": "catalogue",
            "Filter": "filters",
            "Recommender": "recommender",
            "Snapshot": "snapshot",
        },
    )

__all__ = ["BatchRecommender", "Catalogue", "Filter", "Recommender", "Snapshot"]
