"""Exposures: what was shown, what came of it, and how that is kept."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.exposures.attribution import Attributed, attribute
    from recommender.exposures.buffer import ExposureBuffer, ExposureWriter
    from recommender.exposures.exposure import Exposure, ShownItem
    from recommender.exposures.follower import ExposureFollower
    from recommender.exposures.keeper import ExposureKeeper
    from recommender.exposures.ledger import Ledger
else:
    # whoever answers only buffers: ledger and archive, with what they need, are the trainer's
    __getattr__ = lazy_members(
        __name__,
        {
            "Attributed": "attribution",
            "Exposure": "exposure",
            "ExposureBuffer": "buffer",
            "ExposureFollower": "follower",
            "ExposureKeeper": "keeper",
            "ExposureWriter": "buffer",
            "Ledger": "ledger",
            "ShownItem": "exposure",
            "attribute": "attribution",
        },
    )

__all__ = [
    "Attributed",
    "Exposure",
    "ExposureBuffer",
    "ExposureFollower",
    "ExposureKeeper",
    "ExposureWriter",
    "Ledger",
    "ShownItem",
    "attribute",
]
