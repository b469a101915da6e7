"""Dense vectors as features: how memory and store keep them, and the columns that a model learns of them."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.dense_vectors.packing import Vector, decimals_of, pack_vector, unpack_vectors
    from recommender.dense_vectors.projection import VectorProjection, fit_projection
else:
    # who only passes vectors on needs no scipy
    __getattr__ = lazy_members(
        __name__,
        {
            "Vector": "packing",
            "VectorProjection": "projection",
            "decimals_of": "packing",
            "fit_projection": "projection",
            "pack_vector": "packing",
            "unpack_vectors": "packing",
        },
    )

__all__ = ["Vector", "VectorProjection", "decimals_of", "fit_projection", "pack_vector", "unpack_vectors"]
