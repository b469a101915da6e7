"""Inverted file (IVF): lists of near rows, of which a search reads only the most promising.

An inverted file [1]_. The rows stay where they are: a list names them, so that an index costs four bytes a row
and is searched by the very code, and gives the very bits, of the exact pass.

References
----------
.. [1] J. Sivic, A. Zisserman, Video Google: A Text Retrieval Approach to Object Matching in Videos, 2003.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recommender.ids import Arrays, with_prefix, without_prefix
from recommender.vector_search.exact import NO_ROWS, Best, Users, best_rows
from recommender.vector_search.quantization import QuantizedBlock

DEPTH = 100
"""Rows for which recall is measured; who wants more is answered exactly."""
LISTED_COST = 2.0
"""Time of a row from a list, in those of a row in passing by: memory is jumped through, as
``benchmarks/search/ivf.py`` measures."""
SHARED_COST = 0.5
"""Time of a row in passing by when many users share the pass, in those of one user's."""
CODED_COST, CODED_SHARED_COST = 0.2, 0.07
"""The same of a row that is passed by in codes."""
SEARCH_COST = 8_000
"""Time of choosing and joining lists, in those of as many rows in passing by."""


@dataclass(frozen=True)
class Index:
    """Lists of rows, and what is promised by each.

    Parameters
    ----------
    vectors
        float32 of shape (n_lists, d): mean of each list's vectors.
    reach
        float32 of shape (n_lists,): mean of its biases, and how far its best rows are expected above it.
    indptr, indices
        int64 of shape (n_lists + 1,) and int32 of shape (n,): rows of each list, rising.
    probes
        How many lists are read for `DEPTH` rows when none is masked.
    """

    vectors: NDArray[np.float32]
    reach: NDArray[np.float32]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    probes: int

    def rows(self, lists: Sequence[int]) -> NDArray[np.int32]:
        """Rows of these lists, rising."""
        if not len(lists):
            return NO_ROWS
        rows = np.concatenate([self.indices[self.indptr[each] : self.indptr[each + 1]] for each in lists])
        rows.sort()
        return rows

    def probes_for(self, n_allowed: int, n_users: int, *, coded: bool) -> int | None:
        """Lists to read where only so many rows are not masked; None where one exact pass costs less.

        An exact pass is over the vectors, or over their codes. Of masked rows as many more must be passed by. They
        may be the near ones: what was found is as exact as ever, and recall was measured without a mask.
        """
        n = len(self.indices)
        probes = -(-self.probes * n // max(1, n_allowed))
        cost = SEARCH_COST + LISTED_COST * n * probes / len(self.reach)
        alone, shared = (CODED_COST, CODED_SHARED_COST) if coded else (1.0, SHARED_COST)
        return probes if cost < n * (alone if n_users == 1 else shared) else None

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Arrays for `from_arrays`, which has the number of probes from ``meta["index"]``."""
        names = ("vectors", "reach", "indptr", "indices")
        return with_prefix("index", {name: getattr(self, name) for name in names})

    @classmethod
    def from_arrays(cls, arrays: Arrays, meta: Mapping[str, Any]) -> Self | None:
        """Index over the same memory as `arrays`; None where there is none, as in what was published without."""
        own = without_prefix("index", arrays)
        return cls(**own, probes=int(meta["index"]["probes"])) if own else None  # type: ignore[arg-type]


def search_inverted_file(
    index: Index | None,
    vectors: NDArray[np.float32],
    biases: NDArray[np.float32],
    users: Users,
    wanted: Sequence[int],
    *,
    masked: NDArray[np.bool_],
    excluded: Sequence[NDArray[np.int32]],
    codes: QuantizedBlock | None = None,
    read: Sequence[NDArray[np.int32]] | None = None,
) -> list[Best]:
    """`best_rows` of the lists that promise most, or of all rows where that costs less or an answer is short.

    Parameters
    ----------
    index
        Of this block; without one all rows are read.
    vectors, biases, users, wanted, masked, excluded, codes
        As for `best_rows`.
    read
        Rows that are read whatever their lists promise, for each user: those whose own bias no list knows of.

    Returns
    -------
    As `best_rows`; each row that is found has the score, and the order among the found, that it has there.
    """
    probes = None
    if index is not None and max(wanted, default=0) <= DEPTH:
        n_allowed = len(masked) - int(np.count_nonzero(masked))
        probes = index.probes_for(n_allowed, len(wanted), coded=codes is not None)
    if index is None or probes is None:
        return best_rows(vectors, biases, users, wanted, masked=masked, excluded=excluded, codes=codes)
    nobody = np.zeros(len(index.reach), np.bool_)
    promising = best_rows(
        index.vectors,
        index.reach,
        users,
        [probes] * len(wanted),
        masked=nobody,
        excluded=[NO_ROWS] * len(wanted),
    )
    found = []
    for number, lists in enumerate(promising):
        own = slice(number, number + 1)
        one = Users(users.vectors[own], users.biases[own]), wanted[own]
        rows = index.rows(lists.rows.tolist())
        rows = rows if read is None else np.union1d(rows, read[number])
        own_biases = biases if biases.ndim == 1 else biases[own]
        [best] = best_rows(vectors, own_biases, *one, masked=masked, excluded=excluded[own], rows=rows)
        if len(best.rows) < wanted[number]:
            whole = codes and codes.of_users(own)
            [best] = best_rows(vectors, own_biases, *one, masked=masked, excluded=excluded[own], codes=whole)
        found.append(best)
    return found
