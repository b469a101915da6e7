"""Compiled kernels: one pass over a block of vectors that scores, masks and selects, without the GIL.

Eight rows are scored at a time, in vector registers: numba leaves reductions to the compiler, which does
not find this shape, so `_score_eight` is written in LLVM's own terms. One sum is made in the same order
whether a row is scored for one user or for many, in a pass or from a list: the same bits every time.

`scan` reads the vectors, `scan_codes` a quarter of their bytes: it bounds each score by codes of eight bits and
scores exactly only what may be among the best.

This file is longer than others and stays whole, with every helper of a compiled function in it: to tell whether its
cache on disk is current, numba looks only at the file of the function that it compiled. Were helpers in another file,
a change of theirs would leave a stale cache, and the old code would go on running.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
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

CODED_LANES = 16
"""Rows whose codes stand together, so that sixteen inner products fill a register."""
CODED_STEP = 64
"""Rows that are bounded at a time: four registers, because each addition waits for the one before it."""
_TILE_BYTES = 16384
"""Codes of this many bytes stay in the first cache while every user of a batch passes over them."""
_BUCKETS = 256
"""Into how many the shortlisted are sorted to find a bound near the best."""
NEVER = np.float32(-3e38)
"""Below what any row can score, and above the bias of rows that are only there to fill a step."""
_SLACK = np.float32(1e-6)
"""Rounding of a few sums of float32, as a share of their largest part."""

_FLOAT, _INT8, _INT32, _INT64 = ir.FloatType(), ir.IntType(8), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_NOTHING = ir.Constant(_VECTOR, ir.Undefined)
_FLOATS, _INTS = ir.VectorType(_FLOAT, CODED_LANES), ir.VectorType(_INT32, CODED_LANES)
_SIGN, _LOW = np.uint32(1 << 31), np.uint64(0xFFFFFFFF)


def has_byte_products(codegen: Any = None) -> bool:
    """Whether what is compiled for multiplies and adds bytes in one instruction (AVX-512 VNNI)."""
    codegen = codegen or cpu_target.target_context.codegen()
    return "+avx512vnni" in codegen.magic_tuple()[2].split(",")


def compiled(function: Callable[..., Any]) -> Any:
    """Compile at the first call, keep the code on disk, release the GIL.

    The code is kept beside this file, or where that is read-only in the user's cache folder
    (``NUMBA_CACHE_DIR`` names another); where neither can be written every process compiles for itself.
    """
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)


def _load(builder: Any, base: Any, offset: Any, kind: Any = _VECTOR) -> Any:
    """A vector from an address that need not be aligned."""
    pointer = builder.bitcast(builder.gep(base, [offset]), kind.as_pointer())
    return builder.load(pointer, align=4)


def _same(builder: Any, value: Any, kind: Any = _VECTOR) -> Any:
    """One value in every lane."""
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, value, _INT32(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_INT32, kind.count), [0] * kind.count))


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
def fetch_line(_context, array, offset):  # type: ignore[no-untyped-def]
    """Ask for the cache line at an offset, which may lie behind the end."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte = _INT8.as_pointer()
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
            fetch_line(vectors, offset)
        return
    for place in range(first + _AHEAD_ROWS, min(first + _AHEAD_ROWS + LANES, n)):
        for offset in range(rows[place] * width, (rows[place] + 1) * width, _LINE_FLOATS):
            fetch_line(vectors, offset)


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
def unpack(keys):  # type: ignore[no-untyped-def]
    """Places and scores of keys, int32 and float32, in their order."""
    places, scores = np.empty(len(keys), np.int32), np.empty(len(keys), np.float32)
    bits = scores.view(np.uint32)
    for number in range(len(keys)):
        places[number], bits[number] = np.int32(keys[number] & _LOW), _bits(keys[number])
    return places, scores


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
        float32 of shape (n, d), and (1, at least n) for all users or (b, at least n) for each: the block.
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
            added = biases[min(user, len(biases) - 1)]
            full = 2 * k + SPARE - LANES
            for first in range(begin, min(begin + tile, n), LANES):
                if user == 0:
                    # the first user brings the tile into the cache
                    _fetch_ahead(vectors, rows, first, n)
                if len(rows) or first + LANES > n:
                    eight = _eight(rows, first, n - 1)
                    above = _score_eight(vectors, added, eight, users, user, bias, bounds[user], scores)
                else:
                    above = _score_eight(vectors, added, first, users, user, bias, bounds[user], scores)
                if above:
                    places = first, min(LANES, n - first), rows
                    size = _keep(places, scores, bits, bounds[user], masked, excluded, starts, user, mine, size)
                    if size >= full:
                        _cut(mine, size, k)
                        # later rows lose to equal ones, so that only what is truly above it matters
                        size, bound_bits[user] = k, _bits(mine[k - 1])
            sizes[user] = size


def _add_byte_products(context: Any, builder: Any, total: Any, codes: Any, user: Any) -> Any:
    """Add to each of sixteen totals the products of its four unsigned bytes with four signed ones."""
    if has_byte_products(context.codegen()):
        kind = ir.FunctionType(_INTS, [_INTS] * 3)
        return builder.call(
            builder.module.declare_intrinsic("llvm.x86.avx512.vpdpbusd.512", (), kind), [total, codes, user]
        )
    bytes_, wide = (ir.VectorType(each, 4 * CODED_LANES) for each in (_INT8, _INT32))
    products = builder.mul(
        builder.zext(builder.bitcast(codes, bytes_), wide), builder.sext(builder.bitcast(user, bytes_), wide)
    )
    for place in range(4):
        lanes = ir.Constant(_INTS, list(range(place, 4 * CODED_LANES, 4)))
        total = builder.add(total, builder.shuffle_vector(products, ir.Constant(wide, ir.Undefined), lanes))
    return total


def _coded_products(context: Any, builder: Any, starts: Sequence[Any], user: Any, words: Any, shift: Any) -> list[Any]:
    """Inner products of the rows of some groups with a user, in codes: sixteen totals a group."""
    totals = [cgutils.alloca_once(builder, _INTS) for _ in starts]
    for total in totals:
        builder.store(_same(builder, shift, _INTS), total)
    with cgutils.for_range(builder, words) as loop:
        mine = _same(builder, builder.load(builder.gep(user, [loop.index])), _INTS)
        offset = builder.mul(loop.index, _INT64(CODED_LANES))
        for start, total in zip(starts, totals, strict=True):
            codes = _load(builder, start, offset, _INTS)
            builder.store(_add_byte_products(context, builder, builder.load(total), codes, mine), total)
    return [builder.load(total) for total in totals]


@intrinsic
def _bound_rows(_context, codes, scales, biases, row, users, user, about, bound, most):  # type: ignore[no-untyped-def]
    """Write to `most` what `CODED_STEP` rows from one on can score for a user; bits say which are above `bound`.

    `about` is what `_encode` has given: scale, error, and what to begin the sums with.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = {"codes": 0, "scales": 1, "biases": 2, "users": 4, "most": 8}
        arrays = {
            name: context.make_array(signature.args[place])(context, builder, arguments[place])
            for name, place in places.items()
        }
        row, user, bound = arguments[3], arguments[5], arguments[7]
        scale, error, shift = cgutils.unpack_tuple(builder, arguments[6], 3)
        words = cgutils.unpack_tuple(builder, arrays["users"].shape, 2)[1]
        mine = builder.gep(arrays["users"].data, [builder.mul(user, words)])
        groups = [_INT64(first) for first in range(0, CODED_STEP, CODED_LANES)]
        starts = [builder.gep(arrays["codes"].data, [builder.mul(builder.add(row, each), words)]) for each in groups]
        fma = builder.module.declare_intrinsic("llvm.fmuladd.v16f32", (), ir.FunctionType(_FLOATS, [_FLOATS] * 3))
        mask = _INT64(0)
        for group, total in zip(groups, _coded_products(context, builder, starts, mine, words, shift), strict=True):
            there = builder.add(row, group)
            own, bias = (_load(builder, arrays[name].data, there, _FLOATS) for name in ("scales", "biases"))
            product = builder.sitofp(total, _FLOATS)
            product = builder.call(fma, [product, _same(builder, scale, _FLOATS), _same(builder, error, _FLOATS)])
            upper = builder.call(fma, [product, own, bias])
            target = builder.gep(arrays["most"].data, [group])
            builder.store(upper, builder.bitcast(target, _FLOATS.as_pointer()), align=4)
            above = builder.fcmp_ordered(">", upper, _same(builder, bound, _FLOATS))
            bits = builder.zext(builder.bitcast(above, ir.IntType(CODED_LANES)), _INT64)
            mask = builder.or_(mask, builder.shl(bits, group))
        return mask

    return types.int64(codes, scales, biases, row, users, user, about, bound, most), generate


@intrinsic
def _lowest_bit(_context, mask):  # type: ignore[no-untyped-def]
    """Place of the lowest bit that is set; at least one is."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_INT64, [_INT64, ir.IntType(1)])
        count = builder.module.declare_intrinsic("llvm.cttz.i64", (), kind)
        return builder.call(count, [arguments[0], ir.IntType(1)(1)])

    return types.int64(mask), generate


@compiled
def _encode(user, user_bias, limits, codes):  # type: ignore[no-untyped-def]
    """Write a user's components as signed bytes.

    Returns
    -------
    Scale of the bytes, by how much a product can be wrong in units of a row's scale, what to begin sums with, and
    what rounding can add; a scale of 0 for one who cannot be bounded.

    Notes
    -----
    With ``p = s (P + e)`` and ``q = t (Q + f)``, ``p · q = s (t P · Q + t P · f + e · q)``, and by Cauchy and Schwarz
    the last two are at most ``|P| t |f| + |e| |q|``; `limits` has the largest ``|P|`` and ``|e|`` of all rows.
    """
    longest, roughest, largest_scale, largest_bias = limits
    largest = np.float32(0)
    for value in user:
        largest = max(largest, abs(value))
    scale = largest / np.float32(127) if largest > 0 else np.float32(1)
    length, lost, total = 0.0, 0.0, np.int64(0)
    for place in range(len(user)):
        code = np.int32(np.rint(user[place] / scale))
        codes[place] = code
        length += float(user[place]) ** 2
        lost += (float(user[place]) - float(code) * float(scale)) ** 2
        total += code
    length, lost = length**0.5, lost**0.5
    # the exact score is a sum in float32 too: what it may lose is small, and belongs to the bound
    summed = (longest + roughest) * length
    error = longest * lost + roughest * length + len(user) * _SLACK * summed
    slack = _SLACK * (largest_bias + abs(user_bias) + largest_scale * (summed + error))
    if not (scale > 1e-30 and largest_scale * (summed + error) < 1e30 and abs(user_bias) < 1e30):
        scale = np.float32(0)
    return scale, np.float32(error), np.int32(-128 * total), np.float32(slack)


@compiled
def _narrow(lowest, rows, size, k, scales, twice, slack):  # type: ignore[no-untyped-def]
    """Drop of the shortlisted those that `k` others surely beat; how many are left, and what a row must reach.

    The bound is a little below the k-th: the lowest of its bucket. No branch depends on a score, because none of these
    could be foreseen.
    """
    low, high = lowest[0], lowest[0]
    for place in range(size):
        low, high = min(low, lowest[place]), max(high, lowest[place])
    unit = np.float32(_BUCKETS - 1) / max(high - low, np.float32(1e-30))
    counts = np.zeros(_BUCKETS, np.int32)
    for place in range(size):
        counts[np.int32((lowest[place] - low) * unit)] += 1
    reached, bucket = 0, _BUCKETS
    while reached < k and bucket > 0:
        bucket -= 1
        reached += counts[bucket]
    bound = high
    for place in range(size):
        bound = min(bound, lowest[place] if np.int32((lowest[place] - low) * unit) >= bucket else high)
    bound -= slack
    kept = np.int64(0)
    for place in range(size):
        value, row = lowest[place], rows[place]
        lowest[kept], rows[kept] = value, row
        kept += np.int64(value + scales[row] * twice >= bound)
    return kept, bound


@compiled
def _ask_for_codes(codes, first):  # type: ignore[no-untyped-def]
    """Ask for the codes that come some way behind a row."""
    words = codes.shape[1]
    for offset in range(first * words + _AHEAD_FLOATS, (first + CODED_STEP) * words + _AHEAD_FLOATS, _LINE_FLOATS):
        fetch_line(codes, offset)


@compiled
def _shortlist(codes, scales, biases, users, abouts, slacks, masked, starts, excluded, wanted, lowest, rows, sizes):  # type: ignore[no-untyped-def]
    """Rows that may be among the best of each user; a size of -1 where they are too many for the buffer."""
    n, words, most_kept = len(scales), users.shape[1], lowest.shape[1] - CODED_STEP
    tile = max(CODED_STEP, _TILE_BYTES // (4 * words) // CODED_STEP * CODED_STEP) if len(users) > 1 else n
    most, bounds = np.empty(CODED_STEP, np.float32), np.full(len(users), NEVER, np.float32)
    fulls = np.minimum(2 * wanted + 2 * CODED_STEP, most_kept)
    for begin in range(0, n, tile):
        for user in range(len(users)):
            size, bound, about = sizes[user], bounds[user], abouts[user]
            twice, added = np.float32(2) * about[1], biases[min(user, len(biases) - 1)]
            for first in range(begin, min(begin + tile, n) if size >= 0 else begin, CODED_STEP):
                if user == 0:
                    # the first user brings the tile into the cache
                    _ask_for_codes(codes, first)
                above = _bound_rows(codes, scales, added, first, users, user, about, bound, most)
                while above:
                    row = first + _lowest_bit(above)
                    above &= above - 1
                    if not masked[row] and not _holds(excluded, starts[user], starts[user + 1], row):
                        lowest[user, size], rows[user, size] = most[row - first] - scales[row] * twice, row
                        size += 1
                if size > fulls[user]:
                    size, bound = _narrow(lowest[user], rows[user], size, wanted[user], scales, twice, slacks[user])
                    if size > most_kept:
                        size = -1
                        break
                    # as many again, so that it is not narrowed after every other row
                    fulls[user] = min(2 * size + 2 * CODED_STEP, most_kept)
            sizes[user], bounds[user] = size, bound


@compiled
def _shorten(scales, abouts, slacks, wanted, lowest, rows, sizes):  # type: ignore[no-untyped-def]
    """Drop what was shortlisted before the last bound was known."""
    for user in range(len(sizes)):
        if sizes[user] > wanted[user]:
            twice, k = np.float32(2) * abouts[user][1], wanted[user]
            sizes[user] = _narrow(lowest[user], rows[user], sizes[user], k, scales, twice, slacks[user])[0]


@compiled
def scan_codes(coded, vectors, biases, users, user_biases, masked, starts, excluded, wanted, lowest, rows, keys, sizes):  # type: ignore[no-untyped-def]
    """`scan` of all rows by their codes: the same keys, for a quarter of the bytes.

    Parameters
    ----------
    coded
        Codes, scales, biases and limits, as `recommender.vector_search.quantization.QuantizedBlock` describes them;
        the biases as for `scan`, to the end of the last step.
    vectors, biases, users, user_biases, masked, starts, excluded, wanted
        As for `scan`.
    lowest, rows, keys
        float32, int32 and uint64 of shape (b, at least twice the largest of `wanted`, and two `CODED_STEP`): written.
    sizes
        int64 of shape (b,): written, how many keys of each user count, of which the best `wanted` are right; or -1 for
        a user for whom the codes are too coarse: `scan` answers.
    """
    codes, scales, coded_biases, limits = coded
    words = codes.shape[1]
    coded_users = np.zeros((len(users), words), np.int32)
    abouts = [(np.float32(0), np.float32(0), np.int32(0))] * len(users)
    slacks = np.empty(len(users), np.float32)
    for user in range(len(users)):
        scale, error, shift, slack = _encode(users[user], user_biases[user], limits, coded_users[user].view(np.int8))
        abouts[user], slacks[user], sizes[user] = (scale, error, shift), slack, 0 if scale > 0 else -1
    _shortlist(
        codes, scales, coded_biases, coded_users, abouts, slacks, masked, starts, excluded, wanted, lowest, rows, sizes
    )
    _shorten(scales, abouts, slacks, wanted, lowest, rows, sizes)
    scores = np.empty(LANES, np.float32)
    bits, lowest_bound = scores.view(np.uint32), np.float32(-np.inf)
    for user in range(len(users)):
        n = max(0, sizes[user])
        mine, bias, added = rows[user, :n], user_biases[user], biases[min(user, len(biases) - 1)]
        for first in range(0, n, LANES):
            _fetch_ahead(vectors, mine, first, n)
            _score_eight(vectors, added, _eight(mine, first, n - 1), users, user, bias, lowest_bound, scores)
            for lane in range(min(LANES, n - first)):
                keys[user, first + lane] = _key(bits[lane], mine[first + lane])
