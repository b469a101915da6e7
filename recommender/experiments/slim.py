"""SLIM: a sparse linear method, an elastic net of each item on the items most similar to it.

Column i minimises ``½ bᵀGb - gᵀb + l1 Σb + ½ l2 Σb²`` over b >= 0, where G is the Gram matrix of the `neighbours` items
most similar to i by cosine and g their products with i; the restriction to neighbours is that of fsSLIM [1]_.

References
----------
.. [1] X. Ning, G. Karypis, SLIM: Sparse Linear Methods for Top-N Recommender Systems, 2011.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.evaluation.metrics import Score
from recommender.vector_search.kernel import compiled

_BLOCK = 256
"""Items whose products with all others are held at a time."""
_PASSES, _TOLERANCE = 100, 1e-4
"""Of the coordinate descent: passes at most, and the largest change of a weight at which it stops."""


def slim(pairs: sparse.csr_matrix, seed: int, settings: Mapping[str, Any]) -> Score:  # noqa: ARG001 - one signature
    """Fit SLIM with the settings ``neighbours``, ``l1`` and ``l2``; scores are ``x_u B``."""
    weights = slim_matrix(pairs, settings["neighbours"], settings["l1"], settings["l2"])
    return lambda users: np.asarray((pairs[users] @ weights).toarray(), np.float32)


def slim_matrix(pairs: sparse.csr_matrix, neighbours: int, l1: float, l2: float) -> sparse.csr_matrix:
    """Weights of the items of a history (rows) for each item (columns), float32, none below 0."""
    columns = sparse.csc_matrix(pairs, dtype=np.float64)
    rows, weights, lengths = [np.empty(0, np.int64)], [np.empty(0)], [0]
    for item, others, products in _products(columns):
        support, right = _most_similar(item, others, products, columns, neighbours)
        chosen = columns[:, support]
        gram = (chosen.T @ chosen).toarray()
        found = np.zeros(len(support))
        elastic_net(gram, right, l1, l2, _PASSES, _TOLERANCE, found)
        kept = found > 0
        rows.append(support[kept])
        weights.append(found[kept])
        lengths.append(int(kept.sum()))
    arrays = (np.concatenate(weights).astype(np.float32), np.concatenate(rows), np.cumsum(lengths))
    return sparse.csc_matrix(arrays, (pairs.shape[1], pairs.shape[1])).tocsr()


@compiled
def elastic_net(gram, right, l1, l2, passes, tolerance, weights):  # type: ignore[no-untyped-def]
    """Overwrite `weights` by the minimum of the elastic net above, by coordinate descent."""
    products = np.zeros(len(right))
    for _ in range(passes):
        largest = 0.0
        for i in range(len(right)):
            before = weights[i]
            rest = right[i] - products[i] + gram[i, i] * before
            after = max(rest - l1, 0.0) / (gram[i, i] + l2)
            if after != before:
                weights[i] = after
                for j in range(len(right)):
                    products[j] += (after - before) * gram[i, j]
                largest = max(largest, abs(after - before))
        if largest < tolerance:
            return


def _products(columns: sparse.csc_matrix) -> Iterator[tuple[int, NDArray[np.int32], NDArray[np.float64]]]:
    """Row by row of the Gram matrix: item, items with a product other than 0, and these products."""
    by_item = columns.T.tocsr()
    for first in range(0, columns.shape[1], _BLOCK):
        block = (by_item[first : first + _BLOCK] @ columns).tocsr()
        for row in range(block.shape[0]):
            own = slice(block.indptr[row], block.indptr[row + 1])
            yield first + row, block.indices[own], block.data[own]


def _most_similar(
    item: int,
    others: NDArray[np.int32],
    products: NDArray[np.float64],
    columns: sparse.csc_matrix,
    neighbours: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Items most similar to one by cosine, of equals the first, and their products with it."""
    counts = np.diff(columns.indptr)[others]
    order = np.lexsort((others, -products / np.sqrt(counts)))
    chosen = order[others[order] != item][:neighbours]
    return others[chosen].astype(np.int64), products[chosen]
