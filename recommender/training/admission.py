"""Feature admission: which categories get a row of the model, so that features do not make it of any size."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.dense_vectors.packing import is_packed
from recommender.feature_space import Features
from recommender.feature_values import categories, cleaned, is_number


@dataclass(frozen=True)
class FeatureAdmission:
    """What a category needs to be learned, beside `FeatureSpace`'s own bound on those that a single record has.

    Parameters
    ----------
    min_interactions
        Of all users or items that have the category, together.
    max_columns
        A category is learned only where it is among so many of some record, those with the most interactions first;
        None for any number.
    """

    min_interactions: int = 1
    max_columns: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether every category is admitted."""
        return self.min_interactions <= 1 and self.max_columns is None


def admit(
    records: Sequence[Features], interactions: NDArray[np.integer], how: FeatureAdmission, known: Container[str]
) -> Sequence[Features]:
    """Records without the categories that are not admitted; numbers and dense vectors stay.

    Parameters
    ----------
    records
        Features of users or of items.
    interactions
        Of each record's user or item, shape (n_records,).
    how
        What is admitted.
    known
        Labels of categories that have a row already, which they keep.
    """
    if how.is_open:
        return records
    labels = [
        {label for name, value in cleaned(record) if _is_category(value) for label in categories(name, value)}
        for record in records
    ]
    totals: Counter[str] = Counter()
    for own, n in zip(labels, interactions.tolist(), strict=True):
        totals.update(dict.fromkeys(own, n))
    enough = {label for label, total in totals.items() if total >= how.min_interactions or label in known}
    if how.max_columns is not None:
        most = how.max_columns
        chosen = (heapq.nlargest(most, own & enough, key=lambda each: (totals[each], each)) for own in labels)
        enough = {label for own in chosen for label in own} | {label for label in enough if label in known}
    return [{name: _left(name, value, enough) for name, value in cleaned(record)} for record in records]


def _left(name: str, value: Any, admitted: Container[str]) -> Any:
    """Value as far as it is admitted; None for nothing."""
    if not _is_category(value):
        return value
    if isinstance(value, list):
        return [text for text, label in zip(value, categories(name, value), strict=True) if label in admitted]
    return value if categories(name, value)[0] in admitted else None


def _is_category(value: Any) -> bool:
    return not is_packed(value) and not is_number(value)
