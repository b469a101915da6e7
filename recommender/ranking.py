"""Exact best rows of a block of vectors: arrays in, arrays out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender import kernel

EVERYTHING = np.zeros(0, np.int32)
_LOW, _HIGH = (0, 1) if sys.byteorder == "little" else (1, 0)


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
) -> list[Best]:
    """Best rows of a block for each user, exactly, in one pass over the block.

    Parameters
    ----------
    vectors, biases
        float32 of shape (n, d) and (n,), contiguous; they may be read-only. d may be 0: biases alone.
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
    keys = np.empty((len(wanted), 2 * max(ks) + kernel.SPARE), np.uint64)
    sizes = np.zeros(len(wanted), np.int64)
    starts = list(accumulate(map(len, excluded), initial=0))
    kernel.scan(
        _shared(vectors),
        _shared(biases),
        EVERYTHING if rows is None else rows,
        np.ascontiguousarray(users.vectors),
        np.ascontiguousarray(users.biases),
        _shared(masked),
        np.array(starts, np.int64),
        np.concatenate(excluded, dtype=np.int32) if starts[-1] else EVERYTHING,
        np.array(ks, np.int64),
        keys,
        sizes,
    )
    return [_unpacked(own[:size], k, rows) for own, size, k in zip(keys, sizes.tolist(), wanted, strict=True)]


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
    best_rows(block, block.sum(axis=1), users, [1], masked=nobody, excluded=[EVERYTHING])


def _shared(array: NDArray[Any]) -> NDArray[Any]:
    """View that cannot be written: code is compiled once, for these, and not again for arrays that can be."""
    if array.flags.writeable or not array.flags.c_contiguous:
        array = np.ascontiguousarray(array).view()
        array.flags.writeable = False
    return array


def _unpacked(keys: NDArray[np.uint64], k: int, rows: NDArray[np.int32] | None) -> Best:
    """Rows and scores of the `k` smallest keys."""
    keys.sort()
    halves = keys[:k].view(np.uint32)
    places, falling = halves[_LOW::2].view(np.int32), halves[_HIGH::2]
    # a falling key is the complement of the score's bits, with the sign bit as the format of floats has it
    bits = np.where(falling >> 31, falling, falling ^ np.uint32(0x7FFFFFFF))
    return Best(places if rows is None else rows[places], bits.view(np.float32))
