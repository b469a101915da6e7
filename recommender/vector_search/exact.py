"""Exact top-k search by inner product (MIPS) over a block of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.vector_search import kernel
from recommender.vector_search.quantization import NARROWEST, QuantizedBlock, encode

_CODED_SHARE = 32
"""Of the rows: who wants more of them is not helped by ruling rows out."""
_CODED_SPARE = 1024
"""What a buffer of shortlisted rows holds beyond eight times the wanted ones. Of a model trained on MovieLens half of
the users have three times those they want left, and one in a hundred ten times."""
NO_ROWS = np.zeros(0, np.int32)


class Best(NamedTuple):
    """Rows of a block for one user, best first, and their scores."""

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]


class Users(NamedTuple):
    """Who is ranked for."""

    vectors: NDArray[np.float32]
    """Shape (b, d)."""
    biases: NDArray[np.float32]
    """Shape (b,)."""


def best_rows(
    vectors: NDArray[np.float32],
    biases: NDArray[np.float32],
    users: Users,
    wanted: Sequence[int],
    *,
    masked: NDArray[np.bool_],
    excluded: Sequence[NDArray[np.int32]],
    rows: NDArray[np.int32] | None = None,
    codes: QuantizedBlock | None = None,
) -> list[Best]:
    """Best rows of a block for each user, exactly, in one pass over the block or over its codes.

    Parameters
    ----------
    vectors, biases
        float32 of shape (n, d) and (n,), contiguous; they may be read-only. d may be 0: biases alone. Biases of shape
        (b, at least n) are each user's own.
    users
        Those who are ranked for.
    wanted
        How many rows each user wants, at least 0.
    masked
        bool of shape (n,): rows that nobody gets.
    excluded
        int32, for each user the rows that this one does not get, rising.
    rows
        int32: score only these, and let their order decide between equals.
    codes
        Of this block and these biases: the same answer in less time, where it is not of `rows` or of most of them.

    Returns
    -------
    For each user at most as many as wanted, by falling score ``p · q + b_row + b_user``; equal scores by rising
    row, or in the order of `rows`; -inf and nan are never returned. A row's score has the same bits alone
    and in a batch.

    Notes
    -----
    O(n · d) a user; rows pass through memory once for all users. Allocates 16 bytes a wanted row, nothing
    of the size of the block. The GIL is released.
    """
    n = len(vectors) if rows is None else len(rows)
    if n == 0 or not len(wanted):
        return [Best(np.zeros(0, np.int32), np.zeros(0, np.float32))] * len(wanted)
    ks = [max(1, min(k, n)) for k in wanted]
    starts = list(accumulate(map(len, excluded), initial=0))
    asked = (
        np.ascontiguousarray(users.vectors),
        np.ascontiguousarray(users.biases),
        _shared(masked),
        np.array(starts, np.int64),
        np.concatenate(excluded, dtype=np.int32) if starts[-1] else NO_ROWS,
        np.array(ks, np.int64),
    )
    block = _shared(vectors), _shared(np.atleast_2d(biases))
    if codes is None or rows is not None or max(ks) > n // _CODED_SHARE:
        keys, sizes = _scanned(block, NO_ROWS if rows is None else rows, asked, max(ks))
        return [_unpacked(own[:size], k, rows) for own, size, k in zip(keys, sizes, wanted, strict=True)]
    keys, sizes = _scanned_by_codes(codes, block, asked, max(ks))
    best = [_unpacked(own[: max(0, size)], k, None) for own, size, k in zip(keys, sizes, wanted, strict=True)]
    if left := [number for number, size in enumerate(sizes) if size < 0]:
        # the codes were too coarse to rule out enough for these
        some = Users(users.vectors[left], users.biases[left]), [wanted[number] for number in left]
        others = [excluded[number] for number in left]
        own_biases = biases if biases.ndim == 1 else biases[left]
        for number, own in zip(
            left, best_rows(vectors, own_biases, *some, masked=masked, excluded=others), strict=True
        ):
            best[number] = own
    return best


def _scanned(block: Any, rows: NDArray[np.int32], asked: Any, k: int) -> tuple[NDArray[np.uint64], list[int]]:
    """Keys of the best rows of each user and how many count."""
    n_users = len(asked[0])
    keys, sizes = np.empty((n_users, 2 * k + kernel.SPARE), np.uint64), np.zeros(n_users, np.int64)
    kernel.scan(*block, rows, *asked, keys, sizes)
    return keys, sizes.tolist()


def _scanned_by_codes(codes: QuantizedBlock, block: Any, asked: Any, k: int) -> tuple[NDArray[np.uint64], list[int]]:
    """The same by codes."""
    shape = len(asked[0]), 8 * k + _CODED_SPARE
    keys, sizes = np.empty(shape, np.uint64), np.zeros(shape[0], np.int64)
    buffers = np.empty(shape, np.float32), np.empty(shape, np.int32)
    words, scales, biases, limits = codes.arrays
    coded = _shared(words), _shared(scales), _shared(np.atleast_2d(biases)), _shared(limits)
    kernel.scan_codes(coded, *block, *asked, *buffers, keys, sizes)
    return keys, sizes.tolist()


def merged(old: Best, new: Best, places: NDArray[np.int64], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Best of two blocks.

    Parameters
    ----------
    old, new
        Best of the first block, whose rows are places in the catalogue, and of the second.
    places
        int64: place in the catalogue of each row of `new`, which decides between equal scores.
    k
        Wanted length.

    Returns
    -------
    int64 positions among the rows of `old` followed by those of `new`, best first, and their scores.
    """
    scores = np.concatenate([old.scores, new.scores])
    order = np.lexsort((np.concatenate([old.rows, places]), -scores))[:k]
    return order, scores[order]


def warm_up(no_components: int) -> None:
    """Compile, or load what was compiled, so that the first request does not wait for it.

    Parameters
    ----------
    no_components
        Width of the vectors that will be scored.
    """
    block = np.zeros((kernel.LANES + 1, no_components), np.float32)
    users = Users(block[:1], np.zeros(1, np.float32))
    nobody = np.zeros(len(block), np.bool_)
    best_rows(block, block.sum(axis=1), users, [1], masked=nobody, excluded=[NO_ROWS])
    coded = np.zeros((kernel.CODED_STEP, NARROWEST), np.float32)
    biases, users = np.zeros(len(coded), np.float32), Users(coded[:1], np.zeros(1, np.float32))
    masked, codes = np.zeros(len(coded), np.bool_), encode(coded, biases, above=1)
    best_rows(coded, biases, users, [1], masked=masked, excluded=[NO_ROWS], codes=codes)


def _shared(array: NDArray[Any]) -> NDArray[Any]:
    """View that cannot be written: code is compiled once, for these, and not again for arrays that can be."""
    if array.flags.writeable or not array.flags.c_contiguous:
        array = np.ascontiguousarray(array).view()
        array.flags.writeable = False
    return array


def _unpacked(keys: NDArray[np.uint64], k: int, rows: NDArray[np.int32] | None) -> Best:
    """Rows and scores of the `k` smallest keys."""
    keys.sort()
    places, scores = kernel.unpack(keys[:k])
    return Best(places if rows is None else rows[places], scores)
