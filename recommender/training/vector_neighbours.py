"""Vector neighbours: cosines of dense vectors beside those of features, for the nearest known items of newcomers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

MOST_PRODUCTS = 200_000_000_000
"""Multiplications that cosines of vectors may cost, a minute; with more pairs vectors are not compared."""


@dataclass(frozen=True)
class VectorNeighbours:
    """Vectors of known items and of newcomers, each of length 1, or 0 for one without.

    Parameters
    ----------
    known, newcomers
        float32 of shapes (n_known, n_components) and (n_newcomers, n_components).
    """

    known: NDArray[np.float32]
    newcomers: NDArray[np.float32]

    @classmethod
    def of(
        cls, known: sparse.csr_matrix, newcomers: sparse.csr_matrix, components: NDArray[np.bool_]
    ) -> VectorNeighbours | None:
        """Vectors among features; None where there are none, or too many pairs.

        Parameters
        ----------
        known, newcomers
            Items by features.
        components
            Which features are components of dense vectors.
        """
        n_products = known.shape[0] * newcomers.shape[0] * int(components.sum())
        if not 0 < n_products <= MOST_PRODUCTS:
            return None
        return cls(_unit(known[:, components]), _unit(newcomers[:, components]))

    def with_cosines(self, cosines: sparse.csr_matrix, start: int, most: int) -> sparse.csr_matrix:
        """Cosines of some newcomers by other features plus those of their vectors, the `most` largest of each.

        Parameters
        ----------
        cosines
            Newcomers from `start` on by known items.
        """
        summed = self.newcomers[start : start + cosines.shape[0]] @ self.known.T
        summed += cosines.toarray()
        if most < summed.shape[1]:
            bound = -np.partition(-summed, most - 1, axis=1)[:, most - 1]
            summed[summed < bound[:, None]] = 0
        return sparse.csr_matrix(np.maximum(summed, 0))


def _unit(rows: sparse.csr_matrix) -> NDArray[np.float32]:
    dense = rows.toarray().astype(np.float32)
    norms = np.linalg.norm(dense, axis=1, keepdims=True)
    unit: NDArray[np.float32] = dense / np.where(norms > 0, norms, 1)
    return unit
