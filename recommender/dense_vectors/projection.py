"""Vector projection: the columns of a feature space that a dense vector falls into.

A vector of any length becomes its principal components, `MOST_COMPONENTS` at most, as weights of columns of their own;
one more column, the first, says that there is a vector at all. A model learns of these columns as of any others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from recommender.dense_vectors.packing import Vector, length_of, unpack_vectors
from recommender.ids import Arrays, with_prefix, without_prefix

MOST_COMPONENTS = 64
"""Columns of a vector: of 100,000 items they cost a snapshot 52 MB."""
MOST_PRODUCTS = 4_000_000_000
"""Multiplications for the covariance of vectors, half a second; of long ones fewer are looked at, evenly over all."""
MOST_FITTED = 20_000
"""Vectors that a projection is fitted to, and the fewest of very long ones."""
FEWEST_FITTED = 2_000
LEAST_VARIANCE = 1e-6
"""Share of the first component's variance below which another is rounding."""
ROWS_AT_ONCE = 10_000


T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class VectorProjection:
    """Columns of one feature that is a dense vector.

    Parameters
    ----------
    mean
        float32 of shape (length,): of the vectors that it was fitted to.
    axes
        float32 of shape (length, n_components): what each component makes of a vector less the mean.
    first
        The first of its columns in a feature space: weight 1 for whoever has the vector; the components follow.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    first: int = 0

    @property
    def length(self) -> int:
        """Numbers of a vector."""
        return len(self.mean)

    @property
    def columns(self) -> NDArray[np.int32]:
        """Columns in the feature space, rising, int32 of shape (n_components + 1,)."""
        return np.arange(self.first, self.first + self.axes.shape[1] + 1, dtype=np.int32)

    def weights(self, vectors: Sequence[Vector]) -> NDArray[np.float32]:
        """Weights of the columns, float32 of shape (n, n_components + 1)."""
        found = np.ones((len(vectors), self.axes.shape[1] + 1), np.float32)
        for start in range(0, len(vectors), ROWS_AT_ONCE):
            some = unpack_vectors(vectors[start : start + ROWS_AT_ONCE])
            found[start : start + ROWS_AT_ONCE, 1:] = (some - self.mean) @ self.axes
        return found

    def labels(self, escaped: str) -> list[str]:
        """Labels of the columns, by the name of the feature in which no sign is left that others have."""
        return [f"{escaped}#{number or ''}" for number in range(self.axes.shape[1] + 1)]

    def turned(self, axes: NDArray[np.floating]) -> VectorProjection:
        """Projection to other components, each a sum of these by a column of `axes`."""
        return replace(self, axes=(self.axes @ axes).astype(np.float32))

    def scaled(self, factors: NDArray[np.float32]) -> VectorProjection:
        """The same with the weight of each column so many times as large; the first stays."""
        return replace(self, axes=self.axes * factors[1:])


def fit_projection(vectors: Sequence[Vector], most: int = MOST_COMPONENTS) -> VectorProjection:
    """Principal components of vectors, of a variance of 1 on average.

    Parameters
    ----------
    vectors
        All of one length.
    most
        Components at most.
    """
    length = length_of(vectors[0])
    n_rows = max(FEWEST_FITTED, min(MOST_FITTED, MOST_PRODUCTS // length**2))
    rows = unpack_vectors(spread_evenly(vectors, n_rows)).astype(np.float64)
    mean = rows.mean(axis=0)
    centred = rows - mean
    n = min(most, length)
    variances, axes = eigh(centred.T @ centred / len(rows), subset_by_index=[length - n, length - 1])
    kept = np.flatnonzero(variances > max(LEAST_VARIANCE * variances[-1], 1e-30))[::-1]
    variances, axes = variances[kept], axes[:, kept]
    spread = np.sqrt(variances.mean()) if len(kept) else 1.0
    return VectorProjection(mean.astype(np.float32), (axes / spread).astype(np.float32))


def most_frequent_length(vectors: Sequence[Vector]) -> int:
    """Length that most vectors have; the smallest of several."""
    lengths = np.array([length_of(vector) for vector in vectors])
    return int(np.bincount(lengths).argmax())


def projections_to_arrays(projections: Mapping[str, VectorProjection]) -> dict[str, NDArray[np.generic]]:
    """Arrays of projections by their place in the mapping, for a name may have any letters."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for number, each in enumerate(projections.values()):
        arrays |= with_prefix(f"vectors.{number}", {"mean": each.mean, "axes": each.axes})
    return arrays


def projections_to_meta(projections: Mapping[str, VectorProjection]) -> dict[str, Any]:
    """Names and first columns, for JSON; nothing where there are no projections."""
    firsts = [[name, each.first] for name, each in projections.items()]
    return {"vectors": firsts} if firsts else {}


def projections_from(arrays: Arrays, meta: Mapping[str, Any]) -> dict[str, VectorProjection]:
    """Projections over the same memory as `arrays`; none of a version from before them."""
    found: dict[str, VectorProjection] = {}
    for number, (name, first) in enumerate(meta.get("vectors", [])):
        own: dict[str, Any] = without_prefix(f"vectors.{number}", arrays)
        found[name] = VectorProjection(own["mean"], own["axes"], first)
    return found


def spread_evenly(vectors: Sequence[T], most: int) -> list[T]:
    """At most so many, evenly over all."""
    n = min(len(vectors), most)
    return [vectors[place] for place in np.linspace(0, len(vectors) - 1, n).astype(np.int64).tolist()]
