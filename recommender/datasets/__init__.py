"""Where data sets come from: MovieLens-100k, synthetic worlds, folders of CSV or Parquet."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.datasets.dataset import Dataset, feature_records
    from recommender.datasets.folder import inspect
    from recommender.datasets.open import open_dataset
else:
    __getattr__ = lazy_members(
        __name__,
        {
            "Dataset": "dataset",
            "feature_records": "dataset",
            "inspect": "folder",
            "open_dataset": "open",
        },
    )

__all__ = ["Dataset", "feature_records", "inspect", "open_dataset"]
