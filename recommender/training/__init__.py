"""From the interaction log to a published version: full and incremental training, promotion gate, schedule."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.training.full import Trained, TrainingData, train_full
    from recommender.training.incremental import IncrementSettings, News, train_increment
    from recommender.training.index_builder import build_index
    from recommender.training.model_settings import ModelSettings
    from recommender.training.pipeline import TrainingPipeline
    from recommender.training.schedule import Schedule
    from recommender.training.snapshot_builder import CatalogueEntry, build_snapshot
else:
    __getattr__ = lazy_members(
        __name__,
        {
            "CatalogueEntry": "snapshot_builder",
            "IncrementSettings": "incremental",
            "ModelSettings": "model_settings",
            "News": "incremental",
            "Schedule": "schedule",
            "Trained": "full",
            "TrainingData": "full",
            "TrainingPipeline": "pipeline",
            "build_index": "index_builder",
            "build_snapshot": "snapshot_builder",
            "train_full": "full",
            "train_increment": "incremental",
        },
    )

__all__ = [
    "CatalogueEntry",
    "IncrementSettings",
    "ModelSettings",
    "News",
    "Schedule",
    "Trained",
    "TrainingData",
    "TrainingPipeline",
    "build_index",
    "build_snapshot",
    "train_full",
    "train_increment",
]
