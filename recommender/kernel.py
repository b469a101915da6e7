"""Compiled inner loops: one pass over a block of vectors that scores, masks and selects, without the GIL.

Eight rows are scored at a time, in vector registers: numba leaves reductions to the compiler, which does
not find this shape, so `_score_eight` is written in LLVM's own terms. One sum is made in the same order
whether a row is scored for one user or for many, in a pass or from a list: the same bits every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
"""Rows at a time, and floats in a vector register; the compiler splits it where registers are shorter."""
_TILE_FLOATS = 8192
"""Rows of this many floats stay in the first cache (32 KiB) while every user of a batch passes over them."""
_AHEAD_FLOATS = 2048
"""How far ahead of the pass memory is asked for: 8 KiB hide its latency and do not yet crowd the cache."""
_AHEAD_ROWS = 24
"""The same, in rows of a list, which the processor cannot foresee."""
_LINE_FLOATS = 16
"""Floats of a cache line."""
SPARE = 64
"""What a buffer holds beyond twice the wanted rows, so that it is not cut after every other row."""

_FLOAT, _INT32, _INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_NOTHING = ir.Constant(_VECTOR, ir.Undefined)
_SIGN, _LOW = np.uint32(1 << 31), np.uint64(0xFFFFFFFF)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile at the first call, keep the code on disk, release the GIL.

    The code is kept beside this file, or where that is read-only in the user's cache folder
    (``NUMBA_CACHE_DIR`` names another); where neither can be written every process compiles for itself.
    """
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)


def _load(builder: Any, base: Any, offset: Any) -> Any:
    """Eight floats from an address that need not be aligned."""
    pointer = builder.bitcast(builder.gep(base, [offset]), _VECTOR.as_pointer())
    return builder.load(pointer, align=4)


def _same(builder: Any, value: Any) -> Any:
    """Eight times one float."""
    first = builder.insert_element(_NOTHING, value, _INT32(0))
    return builder.shuffle_vector(first, _NOTHING, ir.Constant(ir.VectorType(_INT32, LANES), [0] * LANES))


def _gather(builder: Any, pointers: Sequence[Any]) -> Any:
    """One float from each of eight addresses."""
    vector = _NOTHING
    for lane, pointer in enumerate(pointers):
        vector = builder.insert_element(vector, builder.load(pointer), _INT32(lane))
    return vector


def _sums(builder: Any, vectors: Sequence[Any]) -> Any:
    """Sums of eight vectors, as one vector: neighbours are added, then neighbours of the results."""
    even, odd = (ir.Constant(ir.VectorType(_INT32, LANES), list(range(start, 2 * LANES, 2))) for start in (0, 1))
    while len(vectors) > 1:
        vectors = [
            builder.fadd(builder.shuffle_vector(one, other, even), builder.shuffle_vector(one, other, odd))
            for one, other in zip(vectors[::2], vectors[1::2], strict=True)
        ]
    return vectors[0]


def _products(builder: Any, starts: Sequence[Any], user: Any, width: Any) -> Any:
    """Inner products of eight rows with a user, as one vector."""
    fma = builder.module.declare_intrinsic("llvm.fmuladd.v8f32", (), ir.FunctionType(_VECTOR, [_VECTOR] * 3))
    zeros = ir.Constant(_VECTOR, [0.0] * LANES)
    whole = builder.and_(width, _INT64(-LANES))
    totals = [cgutils.alloca_once(builder, _VECTOR) for _ in starts]
    for total in totals:
        builder.store(zeros, total)
    with cgutils.for_range_slice(builder, _INT64(0), whole, _INT64(LANES), inc=True) as (column, _):
        mine = _load(builder, user, column)
        for start, total in zip(starts, totals, strict=True):
            builder.store(builder.call(fma, [_load(builder, start, column), mine, builder.load(total)]), total)
    result = cgutils.alloca_once(builder, _VECTOR)
    builder.store(_sums(builder, [builder.load(total) for total in totals]), result)
    # columns beyond the last whole eight, one by one
    with cgutils.for_range_slice(builder, whole, width, _INT64(1), inc=True) as (column, _):
        mine = _same(builder, builder.load(builder.gep(user, [column])))
        theirs = _gather(builder, [builder.gep(start, [column]) for start in starts])
        builder.store(builder.call(fma, [theirs, mine, builder.load(result)]), result)
    return builder.load(result)


def _eight_rows(builder: Any, vectors: Any, biases: Any, rows: Any, width: Any) -> tuple[list[Any], Any]:
    """Addresses of eight rows, and their biases as one vector."""
    if isinstance(rows.type, ir.IntType):
        first = builder.gep(vectors, [builder.mul(rows, width)])
        starts = [builder.gep(first, [builder.mul(_INT64(lane), width)]) for lane in range(LANES)]
        return starts, _load(builder, biases, rows)
    indices = cgutils.unpack_tuple(builder, rows, LANES)
    starts = [builder.gep(vectors, [builder.mul(row, width)]) for row in indices]
    return starts, _gather(builder, [builder.gep(biases, [row]) for row in indices])


@intrinsic
def _score_eight(_context, vectors, biases, rows, users, user, user_bias, bound, scores):  # type: ignore[no-untyped-def]
    """Write scores of eight rows for a user to `scores`; the bits of the result say which are above `bound`.

    The rows are eight numbers, or the first of eight that follow each other.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = {
            name: context.make_array(signature.args[place])(context, builder, arguments[place])
            for name, place in (("vectors", 0), ("biases", 1), ("users", 3), ("scores", 7))
        }
        _, _, rows, _, user, user_bias, bound, _ = arguments
        width = cgutils.unpack_tuple(builder, arrays["users"].shape, 2)[1]
        mine = builder.gep(arrays["users"].data, [builder.mul(user, width)])
        starts, bias = _eight_rows(builder, arrays["vectors"].data, arrays["biases"].data, rows, width)
        score = builder.fadd(_products(builder, starts, mine, width), bias)
        # the added zero makes 0.0 of -0.0, which is its equal and must not sort behind it
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        score = builder.fadd(builder.fadd(score, _same(builder, user_bias)), zero)
        builder.store(score, builder.bitcast(arrays["scores"].data, _VECTOR.as_pointer()), align=4)
        above = builder.fcmp_ordered(">", score, _same(builder, bound))
        return builder.zext(builder.bitcast(above, ir.IntType(LANES)), _INT64)

    return types.int64(vectors, biases, rows, users, user, user_bias, bound, scores), generate


@intrinsic
def _fetch(_context, array, offset):  # type: ignore[no-untyped-def]
    """Ask for the cache line at an offset, which may lie behind the end."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _INT32, _INT32, _INT32])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch.p0", (), kind)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(prefetch, [address, _INT32(0), _INT32(3), _INT32(1)])
        return context.get_dummy_value()

    return types.void(array, offset), generate


@compiled
def _fetch_ahead(vectors, rows, first, n):  # type: ignore[no-untyped-def]
    """Ask for the eight rows that come some way behind `first`."""
    width = vectors.shape[1]
    if len(rows) == 0:
        ahead = first * width + _AHEAD_FLOATS
        for offset in range(ahead, ahead + LANES * width, _LINE_FLOATS):
            _fetch(vectors, offset)
        return
    for place in range(first + _AHEAD_ROWS, min(first + _AHEAD_ROWS + LANES, n)):
        for offset in range(rows[place] * width, (rows[place] + 1) * width, _LINE_FLOATS):
            _fetch(vectors, offset)


@compiled
def _eight(rows, first, last):  # type: ignore[no-untyped-def]
    """Eight rows of a list from a place on, the last again where it ends; no list stands for all rows."""
    if len(rows) == 0:
        return (
            first,
            min(first + 1, last),
            min(first + 2, last),
            min(first + 3, last),
            min(first + 4, last),
            min(first + 5, last),
            min(first + 6, last),
            min(first + 7, last),
        )
    return (
        np.int64(rows[first]),
        np.int64(rows[min(first + 1, last)]),
        np.int64(rows[min(first + 2, last)]),
        np.int64(rows[min(first + 3, last)]),
        np.int64(rows[min(first + 4, last)]),
        np.int64(rows[min(first + 5, last)]),
        np.int64(rows[min(first + 6, last)]),
        np.int64(rows[min(first + 7, last)]),
    )


@compiled
def _key(bits, place):  # type: ignore[no-untyped-def]
    """One number that orders by falling score, then by rising place."""
    rising = ~bits if bits & _SIGN else bits | _SIGN
    return (np.uint64(~rising) << np.uint64(32)) | np.uint64(place)


@compiled
def _bits(key):  # type: ignore[no-untyped-def]
    """Bits of the score in a key."""
    rising = ~np.uint32(key >> np.uint64(32))
    return rising ^ _SIGN if rising & _SIGN else ~rising


@compiled
def _cut(keys, size, k):  # type: ignore[no-untyped-def]
    """Move the `k` smallest of the first `size` keys to the front, the largest of them to the last place.

    Quickselect [1]_ around the middle of three; keys are distinct.

    References
    ----------
    .. [1] C. A. R. Hoare, Algorithm 65: Find, 1961.
    """
    low, high, target = 0, size - 1, k - 1
    while low < high:
        first, middle, last = keys[low], keys[(low + high) // 2], keys[high]
        pivot = max(min(first, middle), min(max(first, middle), last))
        left, right = low, high
        while left <= right:
            while keys[left] < pivot:
                left += 1
            while keys[right] > pivot:
                right -= 1
            if left <= right:
                keys[left], keys[right] = keys[right], keys[left]
                left += 1
                right -= 1
        if target <= right:
            high = right
        elif target >= left:
            low = left
        else:
            return


@compiled
def _holds(rising, begin, end, row):  # type: ignore[no-untyped-def]
    """Whether a row is among those of a rising list, from `begin` to `end`."""
    stop = end
    while begin < end:
        middle = (begin + end) // 2
        if rising[middle] < row:
            begin = middle + 1
        else:
            end = middle
    return begin < stop and rising[begin] == row


@compiled
def _keep(places, scores, bits, bound, masked, excluded, starts, user, keys, size):  # type: ignore[no-untyped-def]
    """Put those of eight rows that are above the bound into the buffer of keys; its new size."""
    first, count, rows = places
    begin, end = starts[user], starts[user + 1]
    for lane in range(count):
        if scores[lane] > bound:
            row = np.int64(rows[first + lane]) if len(rows) else first + lane
            if not masked[row] and not _holds(excluded, begin, end, row):
                keys[size] = _key(bits[lane], first + lane)
                size += 1
    return size


@compiled
def scan(vectors, biases, rows, users, user_biases, masked, starts, excluded, wanted, keys, sizes):  # type: ignore[no-untyped-def]
    """Best rows of a block for each user, read once for all of them.

    Parameters
    ----------
    vectors, biases
        float32 of shape (n, d) and (n,): the block.
    rows
        int32: score only these rows, whose order then decides between equals; all rows where it is empty.
    users, user_biases
        float32 of shape (b, d) and (b,).
    masked
        bool of shape (n,): rows that nobody gets.
    starts, excluded
        int64 of shape (b + 1,) and int32: rows that a user does not get, rising for each user.
    wanted
        int64 of shape (b,), each above 0.
    keys
        uint64 of shape (b, at least 2 · largest of `wanted` + `SPARE`): written, as `_key` makes them.
    sizes
        int64 of shape (b,): written, how many keys of each user count; of these the best `wanted` are right.
    """
    n = len(rows) if len(rows) else len(vectors)
    width = vectors.shape[1]
    tile = max(LANES, _TILE_FLOATS // max(1, width) // LANES * LANES) if len(users) > 1 else n
    scores = np.empty(LANES, np.float32)
    bounds = np.full(len(users), -np.inf, np.float32)
    bits, bound_bits = scores.view(np.uint32), bounds.view(np.uint32)
    for begin in range(0, n, tile):
        for user in range(len(users)):
            mine, size, bias, k = keys[user], sizes[user], user_biases[user], wanted[user]
            full = 2 * k + SPARE - LANES
            for first in range(begin, min(begin + tile, n), LANES):
                if user == 0:
                    # the first user brings the tile into the cache
                    _fetch_ahead(vectors, rows, first, n)
                if len(rows) or first + LANES > n:
                    eight = _eight(rows, first, n - 1)
                    above = _score_eight(vectors, biases, eight, users, user, bias, bounds[user], scores)
                else:
                    above = _score_eight(vectors, biases, first, users, user, bias, bounds[user], scores)
                if above:
                    places = first, min(LANES, n - first), rows
                    size = _keep(places, scores, bits, bounds[user], masked, excluded, starts, user, mine, size)
                    if size >= full:
                        _cut(mine, size, k)
                        # later rows lose to equal ones, so that only what is truly above it matters
                        size, bound_bits[user] = k, _bits(mine[k - 1])
            sizes[user] = size
