"""Training data made of a data set."""

from __future__ import annotations

from recommender.datasets.dataset import Dataset, feature_records, withdrawn
from recommender.training.full import TrainingData
from recommender.training.snapshot_builder import CatalogueEntry


def training_data(dataset: Dataset) -> TrainingData:
    """All of a data set, as training takes it: its interactions, the features of its users, its items."""
    titles = dataset.items["title"].to_dict() if "title" in dataset.items else {}
    unavailable = withdrawn(dataset.items)
    catalogue = [
        CatalogueEntry(
            item_id,
            features,
            title if isinstance(title := titles.get(item_id), str) else None,
            item_id not in unavailable,
        )
        for item_id, features in feature_records(dataset.items)
    ]
    return TrainingData(dataset.interactions, dict(feature_records(dataset.users)), catalogue)
