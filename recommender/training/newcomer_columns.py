"""Newcomers' columns of the item-item matrix: the mean column of the known items most like them by features.

Nobody has interacted with a newcomer, so nothing is regressed; what speaks for its nearest neighbours speaks for it,
and so do they themselves.
Neighbours are nearest by cosine of their features, each weighing ``idf^RARITY``: what few have in common says more.
Dense vectors have a cosine of their own, which is added.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.training.vector_neighbours import VectorNeighbours

NEIGHBOURS = 50
"""Known items whose columns are averaged."""
ALIKE, ALIKE_SHARE = 200, 0.25
"""Known items that speak for a newcomer themselves, and how much they do together, as a share of the mean column."""
RARITY = 1.5
"""Exponent of the inverse document frequency."""
KEPT = 600
"""Weights of a column that are kept, the largest."""
MOST_PRODUCTS = 2_000_000_000
"""Multiplications that cosines may cost; the most frequent features are left out until they are so few."""
_BLOCK = 256


def newcomer_columns(
    matrix: sparse.csr_matrix,
    known: sparse.csr_matrix,
    newcomers: sparse.csr_matrix,
    components: NDArray[np.bool_] | None = None,
) -> sparse.csr_matrix:
    """Columns of newcomers in an item-item matrix.

    Parameters
    ----------
    matrix
        float32 of shape (n_known, n_known): rows are the items of a history.
    known, newcomers
        Features of either, items by features.
    components
        Which features are components of dense vectors; none when absent.

    Returns
    -------
    float32 of shape (n_known, n_newcomers), at most `KEPT` weights a column; a newcomer that has no feature in common
    with any known item has none.
    """
    by_item = sparse.csr_matrix(matrix.T, dtype=np.float32)
    alike = nearest_by_features(known, newcomers, components)
    blocks = [sparse.csr_matrix((0, matrix.shape[0]), dtype=np.float32)]
    blocks += [_columns(alike[at : at + _BLOCK], by_item) for at in range(0, alike.shape[0], _BLOCK)]
    return sparse.csr_matrix(sparse.vstack(blocks, format="csr").T)


def _columns(alike: sparse.csr_matrix, by_item: sparse.csr_matrix) -> sparse.csr_matrix:
    """Mean columns of the nearest, and on top what is alike itself."""
    means = sparse.csr_matrix(_shares(_largest(alike.copy(), NEIGHBOURS)) @ by_item)
    amounts = np.asarray(abs(means).sum(axis=1)).ravel()
    own = sparse.diags_array(np.float32(ALIKE_SHARE) * amounts) @ _shares(alike)
    return _largest(sparse.csr_matrix(means + own, dtype=np.float32), KEPT)


def nearest_by_features(
    known: sparse.csr_matrix, newcomers: sparse.csr_matrix, components: NDArray[np.bool_] | None = None
) -> sparse.csr_matrix:
    """Cosines of the `ALIKE` nearest known items of each newcomer, of shape (n_newcomers, n_known)."""
    vectors = None if components is None else VectorNeighbours.of(known, newcomers, components)
    counts = np.bincount(known.indices, minlength=known.shape[1])
    rarity = np.log((known.shape[0] + 1) / (counts + 1)) ** RARITY
    rarity[~_affordable(counts, np.bincount(newcomers.indices, minlength=known.shape[1]))] = 0
    if components is not None:
        rarity[components] = 0
    of_known, of_newcomers = (_unit_rows(features, rarity) for features in (known, newcomers))
    by_feature = of_known.T.tocsr()
    blocks = [sparse.csr_matrix((0, known.shape[0]), dtype=np.float32)]
    for start in range(0, newcomers.shape[0], _BLOCK):
        cosines = sparse.csr_matrix(of_newcomers[start : start + _BLOCK] @ by_feature)
        cosines = cosines if vectors is None else vectors.with_cosines(cosines, start, ALIKE)
        blocks.append(_largest(cosines, ALIKE))
    return sparse.csr_matrix(sparse.vstack(blocks, format="csr"), dtype=np.float32)


def _shares(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """The same with rows that sum to 1, or are empty."""
    totals = np.asarray(rows.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags_array(np.where(totals > 0, 1 / np.maximum(totals, 1e-9), 0)) @ rows)


def _affordable(of_known: NDArray[np.int64], of_newcomers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which features are compared by: the rare ones first, as long as they cost at most `MOST_PRODUCTS`."""
    order = np.argsort(of_known, kind="stable")
    costs = np.cumsum(of_known[order].astype(np.float64) * of_newcomers[order])
    compared = np.zeros(len(of_known), np.bool_)
    compared[order[costs <= MOST_PRODUCTS]] = True
    return compared


def _unit_rows(features: sparse.csr_matrix, weights: NDArray[np.float64]) -> sparse.csr_matrix:
    weighted = sparse.csr_matrix(features @ sparse.diags_array(weights), dtype=np.float32)
    weighted.eliminate_zeros()
    norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags_array(1 / np.where(norms > 0, norms, 1)) @ weighted, dtype=np.float32)


def _largest(rows: sparse.csr_matrix, most: int) -> sparse.csr_matrix:
    """Rows with the `most` entries of the largest size, of equals the first."""
    rows.sort_indices()
    for start, end in zip(rows.indptr[:-1].tolist(), rows.indptr[1:].tolist(), strict=True):
        if end - start > most:
            rows.data[start + np.argsort(-abs(rows.data[start:end]), kind="stable")[most:]] = 0
    rows.eliminate_zeros()
    return rows
