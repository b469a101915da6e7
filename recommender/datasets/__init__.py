"""Where data sets come from: MovieLens-100k, synthetic worlds, folders of CSV or Parquet."""

from recommender.datasets.open import open_dataset

__all__ = ["open_dataset"]
