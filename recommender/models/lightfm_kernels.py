"""Compiled stochastic gradient descent over LightFM's own weights: passes over examples, without the GIL.

The update rules are those of LightFM's ``_lightfm_fast`` [1]_, on the same float32 tables and with the same
generator of random numbers, so that either can go on where the other stopped, and one thread that is given LightFM's
order and seed draws the same negatives. What differs: steps are computed in float32 (LightFM: float64, stored as
float32), a row is updated as a vector, and the representations by which negatives are looked for may be some steps
old (`Negatives`).

This file is longer than others and stays whole, with every helper of a compiled function in it: to tell whether its
cache on disk is current, numba looks only at the file of the function that it compiled. Were helpers in another file,
a change of theirs would leave a stale cache, and the old code would go on running.

Several threads may pass over their own examples at once, without locks (Hogwild [2]_).

References
----------
.. [1] M. Kula, Metadata Embeddings for User and Item Cold-start Recommendations, 2015.
.. [2] F. Niu et al., Hogwild: A lock-free approach to parallelizing stochastic gradient descent, 2011.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

SUMMED, CACHED, SINGLE = range(3)
"""How a sampled item is represented: summed from its features each time, from a cache of such sums, or by the only
row that it has, whose weight is 1."""
MAX_SCALE = 1e6
"""Beyond this the lazy regularisation has to be written into the weights (LightFM's ``MAX_REG_SCALE``)."""
MAX_LOSS = np.float32(10.0)
"""WARP's loss is clipped here."""
NEVER = -(2**62)
"""Step of a cached sum that is to be made anew."""
AHEAD = 4
"""Steps between two levels of indirection of a prefetch."""
LINE = 16
"""Floats of a cache line."""
ONE = np.float32(1.0)

_FAST = {"reassoc", "contract", "arcp", "afn", "nsz"}
"""Sums may be reordered; NaN and infinity keep their meaning: they tell that training has diverged."""


class SideTables(NamedTuple):
    """LightFM's state of one side, and the features of its rows as CSR: float32 and int32, C-contiguous."""

    embeddings: Any
    embedding_gradients: Any
    embedding_momentum: Any
    biases: Any
    bias_gradients: Any
    bias_momentum: Any
    indptr: Any
    indices: Any
    weights: Any


class Examples(NamedTuple):
    """Interactions as COO (int32, int32, float32), their weights, their order, and the positives as sorted CSR."""

    users: Any
    items: Any
    values: Any
    weights: Any
    order: Any
    positive_indptr: Any
    positive_indices: Any


class Negatives(NamedTuple):
    """Representations by which negatives are looked for: ``vectors[rows[item]]``, its bias, and the step it is of.

    With `CACHED`, a sum of an item's features serves for ``max_age`` steps; then, and after a step of the item itself,
    it is made anew. Whether what was found violates the margin, and all gradients, are decided by sums of the moment.
    """

    vectors: Any
    biases: Any
    rows: Any
    steps: Any
    mode: int
    max_age: int


class Optimiser(NamedTuple):
    """Hyper-parameters; the names are LightFM's, the numbers float32."""

    learning_rate: Any
    rho: Any
    epsilon: Any
    item_alpha: Any
    user_alpha: Any
    adadelta: bool
    max_sampled: int
    k: int
    n: int


class Work(NamedTuple):
    """What a thread works with, as addresses: tables, three vectors with a 1 after the last column, and the state."""

    users: SideTables
    items: SideTables
    user_vector: Any
    positive_vector: Any
    negative_vector: Any
    scales: Any
    random: Any
    width: int
    n_items: int


def scratch_floats(width: int, n: int) -> int:
    """Float32 that a pass needs of its own: three vectors, and scores and items of warp-kos's n draws."""
    return 3 * (width + 1) + 2 * n


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Compile at the first call, keep the code on disk where there is a place for it, release the GIL."""
    options |= {"nogil": True, "fastmath": _FAST, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)


def _inlined(function: Callable[..., Any]) -> Any:
    """The same as a part of its callers: their dozens of addresses would be handed over on the stack."""
    return _compiled(function, forceinline=True)


@intrinsic
def _at(_context, base, _offset):  # type: ignore[no-untyped-def]
    """Address of an element of an array, or beyond another address: arrays in a loop would be reference-counted."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        address = arguments[0]
        if isinstance(base, types.Array):
            address = cgutils.create_struct_proxy(base)(context, builder, address).data
        return builder.gep(address, [arguments[1]])

    return types.CPointer(base.dtype)(base, types.int64), generate


@intrinsic
def _prefetch(_context, address):  # type: ignore[no-untyped-def]
    """Ask for the cache line of an address; one that is beyond the end of what it belongs to does no harm."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        # to read, into the second level, data
        builder.call(function, [builder.bitcast(arguments[0], byte), flag(0), flag(2), flag(1)])
        return context.get_dummy_value()

    return types.void(address), generate


@_inlined
def _addresses(side):  # type: ignore[no-untyped-def]
    return SideTables(
        _at(side.embeddings, 0), _at(side.embedding_gradients, 0), _at(side.embedding_momentum, 0),
        _at(side.biases, 0), _at(side.bias_gradients, 0), _at(side.bias_momentum, 0),
        _at(side.indptr, 0), _at(side.indices, 0), _at(side.weights, 0),
    )  # fmt: skip


@_inlined
def _work(users, items, scales, random, scratch):  # type: ignore[no-untyped-def]
    width = items.embeddings.shape[1]
    for place in range(3):
        scratch[place * (width + 1) + width] = ONE
    vectors = (_at(scratch, 0), _at(scratch, width + 1), _at(scratch, 2 * (width + 1)))
    return Work(
        _addresses(users), _addresses(items), vectors[0], vectors[1], vectors[2],
        _at(scales, 0), _at(random, 0), width, len(items.indptr) - 1,
    )  # fmt: skip


@_inlined
def _number(state):  # type: ignore[no-untyped-def]
    """LightFM's random number of a state, 0 to 2³¹ - 1: tempered as in MT19937."""
    value = np.uint32(state ^ (state >> np.uint32(11)))
    value = np.uint32(value ^ (np.uint32(value << np.uint32(7)) & np.uint32(0x9D2C5680)))
    value = np.uint32(value ^ (np.uint32(value << np.uint32(15)) & np.uint32(0xEFC60000)))
    value = np.uint32(value ^ (value >> np.uint32(18)))
    return np.uint32(value >> np.uint32(1))


@_inlined
def _following(state):  # type: ignore[no-untyped-def]
    """State after a state: a congruential generator."""
    return np.uint32(state * np.uint32(1103515245) + np.uint32(12345))


@_inlined
def _draw(state, n):  # type: ignore[no-untyped-def]
    """Random number from 0 to n - 1."""
    state[0] = _following(state[0])
    return np.int64(_number(state[0]) % np.uint32(n))


@_compiled
def shuffle(order, seed):  # type: ignore[no-untyped-def]
    """Shuffle in place (Fisher and Yates, by splitmix64)."""
    state = np.uint64(seed)
    for last in range(len(order) - 1, 0, -1):
        state += np.uint64(0x9E3779B97F4A7C15)
        mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32)
        other = np.int64((mixed * np.uint64(last + 1)) >> np.uint64(32))
        order[last], order[other] = order[other], order[last]


@_inlined
def _ask_for_row(side, feature, width):  # type: ignore[no-untyped-def]
    """Prefetch what a step of a feature reads."""
    for column in range(0, width, LINE):
        _prefetch(_at(side.embeddings, feature * width + column))
        _prefetch(_at(side.embedding_gradients, feature * width + column))
    _prefetch(_at(side.biases, feature))
    _prefetch(_at(side.bias_gradients, feature))


@_inlined
def _ask_for_rows(side, row, width):  # type: ignore[no-untyped-def]
    """Prefetch a row's last feature, its indicator where it has one: those that many share are in the cache anyway."""
    last = np.int64(side.indptr[row + 1]) - 1
    if last >= side.indptr[row]:
        _ask_for_row(side, np.int64(side.indices[last]), width)


@_inlined
def _ask_for_features(side, row):  # type: ignore[no-untyped-def]
    start = np.int64(side.indptr[row])
    _prefetch(_at(side.indices, start))
    _prefetch(_at(side.weights, start))


@_compiled
def _look_ahead(work, examples, place, stop):  # type: ignore[no-untyped-def]
    """Prefetch for the examples to come, each level of indirection some steps before the next one reads it."""
    if place + 4 * AHEAD >= stop:
        return
    example = examples.order[place + 4 * AHEAD]
    _prefetch(_at(examples.users, example))
    _prefetch(_at(examples.items, example))
    _prefetch(_at(examples.values, example))
    _prefetch(_at(examples.weights, example))
    example = examples.order[place + 3 * AHEAD]
    _prefetch(_at(work.users.indptr, np.int64(examples.users[example])))
    _prefetch(_at(work.items.indptr, np.int64(examples.items[example])))
    example = examples.order[place + 2 * AHEAD]
    _ask_for_features(work.users, np.int64(examples.users[example]))
    _ask_for_features(work.items, np.int64(examples.items[example]))
    example = examples.order[place + AHEAD]
    _ask_for_rows(work.users, np.int64(examples.users[example]), work.width)
    _ask_for_rows(work.items, np.int64(examples.items[example]), work.width)


@_inlined
def _is_positive(examples, user, item):  # type: ignore[no-untyped-def]
    """Whether a pair is stored: binary search in the sorted row."""
    low, stop = np.int64(examples.positive_indptr[user]), np.int64(examples.positive_indptr[user + 1])
    indices = _at(examples.positive_indices, 0)
    high = stop
    while low < high:
        middle = (low + high) >> 1
        if indices[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < stop and indices[low] == item


@_inlined
def _represent(side, row, scale, vector, width):  # type: ignore[no-untyped-def]
    """Sum a row's embeddings into ``vector``; returns the sum of its biases."""
    for column in range(width):
        vector[column] = np.float32(0)
    bias = np.float32(0)
    for place in range(side.indptr[row], side.indptr[row + 1]):
        weight, feature = side.weights[place] * scale, np.int64(side.indices[place])
        embedding = _at(side.embeddings, feature * width)
        for column in range(width):
            vector[column] += weight * embedding[column]
        bias += weight * side.biases[feature]
    return bias


@_inlined
def _inner(one, other, width):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for column in range(width):
        total += one[column] * other[column]
    return total


@_inlined
def _adagrad(values, gradients, direction, factor, learning_rate, width):  # type: ignore[no-untyped-def]
    for column in range(width):
        gradient, squares = factor * direction[column], gradients[column]
        values[column] -= learning_rate * gradient / np.sqrt(squares)
        gradients[column] = squares + gradient * gradient


@_compiled
def _regularised_adagrad(values, gradients, direction, factor, learning_rate, alpha, width):  # type: ignore[no-untyped-def]
    """Step that also scales up for the lazy regularisation; returns the sum of the learning rates."""
    total = np.float32(0)
    for column in range(width):
        gradient, squares = factor * direction[column], gradients[column]
        rate = learning_rate / np.sqrt(squares)
        values[column] = (values[column] - rate * gradient) * (ONE + alpha * rate)
        gradients[column] = squares + gradient * gradient
        total += rate
    return total


@_compiled
def _adadelta(values, gradients, momentum, direction, factor, alpha, optimiser, width):  # type: ignore[no-untyped-def]
    """The same by Adadelta."""
    total, rho, epsilon = np.float32(0), optimiser.rho, optimiser.epsilon
    for column in range(width):
        gradient, squares = factor * direction[column], momentum[column]
        decayed = rho * gradients[column] + (ONE - rho) * gradient * gradient
        rate = np.sqrt(squares + epsilon) / np.sqrt(decayed + epsilon)
        update = rate * gradient
        gradients[column] = decayed
        momentum[column] = rho * squares + (ONE - rho) * update * update
        values[column] = (values[column] - update) * (ONE + alpha * rate)
        total += rate
    return total


@_compiled
def _step_side(side, row, direction, loss, alpha, regularised, optimiser, width):  # type: ignore[no-untyped-def]
    """Step of all features of a row; returns the sum of the learning rates, 0 where that is not needed."""
    total, unit = np.float32(0), _at(direction, width)
    for place in range(side.indptr[row], side.indptr[row + 1]):
        factor, feature = side.weights[place] * loss, np.int64(side.indices[place])
        values, gradients = _at(side.embeddings, feature * width), _at(side.embedding_gradients, feature * width)
        bias, bias_gradient = _at(side.biases, feature), _at(side.bias_gradients, feature)
        if optimiser.adadelta:
            momentum, bias_momentum = _at(side.embedding_momentum, feature * width), _at(side.bias_momentum, feature)
            total += _adadelta(bias, bias_gradient, bias_momentum, unit, factor, alpha, optimiser, 1)
            total += _adadelta(values, gradients, momentum, direction, factor, alpha, optimiser, width)
        elif regularised:
            total += _regularised_adagrad(bias, bias_gradient, unit, factor, optimiser.learning_rate, alpha, 1)
            rates = _regularised_adagrad(values, gradients, direction, factor, optimiser.learning_rate, alpha, width)
            total += rates
        else:
            _adagrad(bias, bias_gradient, unit, factor, optimiser.learning_rate, 1)
            _adagrad(values, gradients, direction, factor, optimiser.learning_rate, width)
    return total


@_inlined
def _n_features(side, row):  # type: ignore[no-untyped-def]
    return side.indptr[row + 1] - side.indptr[row]


@_inlined
def _rescale(work, total, n_features, optimiser):  # type: ignore[no-untyped-def]
    """Let the lazy regularisation grow by the mean learning rate of a step."""
    mean = total / ((work.width + 1) * n_features)
    work.scales[0] *= 1.0 + optimiser.item_alpha * mean
    work.scales[1] *= 1.0 + optimiser.user_alpha * mean


@_inlined
def _step_pair(work, loss, user, item, optimiser):  # type: ignore[no-untyped-def]
    """Step of a user and an item."""
    width, item_alpha, user_alpha = work.width, optimiser.item_alpha, optimiser.user_alpha
    regularised = item_alpha != 0 or user_alpha != 0
    total = _step_side(work.items, item, work.user_vector, loss, item_alpha, regularised, optimiser, width)
    total += _step_side(work.users, user, work.positive_vector, loss, user_alpha, regularised, optimiser, width)
    if regularised:
        _rescale(work, total, _n_features(work.items, item) + _n_features(work.users, user), optimiser)


@_inlined
def _step_triple(work, loss, user, positive, negative, optimiser):  # type: ignore[no-untyped-def]
    """Step of a user, an item they like and one that is ranked too high, whose vector is overwritten."""
    width, item_alpha, user_alpha = work.width, optimiser.item_alpha, optimiser.user_alpha
    regularised = item_alpha != 0 or user_alpha != 0
    total = _step_side(work.items, positive, work.user_vector, -loss, item_alpha, regularised, optimiser, width)
    total += _step_side(work.items, negative, work.user_vector, loss, item_alpha, regularised, optimiser, width)
    for column in range(width):
        work.negative_vector[column] -= work.positive_vector[column]
    total += _step_side(work.users, user, work.negative_vector, loss, user_alpha, regularised, optimiser, width)
    if regularised:
        n_items = _n_features(work.items, positive) + _n_features(work.items, negative)
        _rescale(work, total, n_items + _n_features(work.users, user), optimiser)


@_inlined
def _score(work, item, vector):  # type: ignore[no-untyped-def]
    """Score of an item for the user at hand without the user's bias; ``vector`` becomes its representation."""
    bias = _represent(work.items, item, np.float32(work.scales[0]), vector, work.width)
    return bias + _inner(vector, work.user_vector, work.width)


@_inlined
def _score_cached(work, negatives, item, step):  # type: ignore[no-untyped-def]
    """The same by a representation that may be ``max_age`` steps old."""
    row = np.int64(negatives.rows[item])
    vector = _at(negatives.vectors, row * work.width)
    if negatives.mode == CACHED and step - negatives.steps[row] >= negatives.max_age:
        negatives.biases[row] = _represent(work.items, item, ONE, vector, work.width)
        negatives.steps[row] = step
    return np.float32(work.scales[0]) * (negatives.biases[row] + _inner(vector, work.user_vector, work.width))


@_inlined
def _ask_for_next(work, negatives):  # type: ignore[no-untyped-def]
    """Prefetch the item that will be drawn next, in this search or the next one."""
    item = np.int64(_number(_following(work.random[0])) % np.uint32(work.n_items))
    if negatives.mode == CACHED:
        for column in range(0, work.width, LINE):
            _prefetch(_at(negatives.vectors, item * work.width + column))
    else:
        _ask_for_rows(work.items, item, work.width)


@_inlined
def _step_warp(work, examples, negatives, optimiser, user, positive, weight, bound, step):  # type: ignore[no-untyped-def]
    """Draw until an item that is no positive scores above ``bound``, and step by the rank that this suggests."""
    for drawn in range(1, optimiser.max_sampled + 1):
        item = _draw(work.random, work.n_items)
        _ask_for_next(work, negatives)
        if negatives.mode != SUMMED and not _score_cached(work, negatives, item, step) > bound:
            continue
        if not _score(work, item, work.negative_vector) > bound or _is_positive(examples, user, item):
            continue
        rank = max((work.n_items - 1) // drawn, 1)
        loss = min(weight * np.float32(math.log(rank)), MAX_LOSS)
        _step_triple(work, loss, user, positive, item, optimiser)
        if negatives.mode == CACHED:
            negatives.steps[positive] = NEVER
            negatives.steps[item] = NEVER
        return


@_inlined
def _is_due(scales):  # type: ignore[no-untyped-def]
    return scales[0] > MAX_SCALE or scales[1] > MAX_SCALE


@_inlined
def _represent_user(work, user):  # type: ignore[no-untyped-def]
    return _represent(work.users, user, np.float32(work.scales[1]), work.user_vector, work.width)


@_compiled
def pass_warp(users, items, examples, negatives, optimiser, scales, span, random, scratch):  # type: ignore[no-untyped-def]
    """Train by WARP: draw negatives until one violates the margin; few draws tell that the positive ranks low.

    Parameters
    ----------
    users, items
        `SideTables`; written.
    examples, negatives, optimiser
        See there; the sums of `Negatives` are written.
    scales
        Float64, shape (2,): LightFM's lazy regularisation of items and users; written.
    span
        First and last place (exclusive) in the order of the examples, and the steps that were made before, for ages.
    random
        Uint32, shape (1,): state of the generator; written.
    scratch
        Float32, shape (`scratch_floats`,).

    Returns
    -------
    Where it stopped: before the last place where a scale is beyond `MAX_SCALE` and is to be written into the weights.
    """
    work = _work(users, items, scales, random, scratch)
    for place in range(span[0], span[1]):
        _look_ahead(work, examples, place, span[1])
        example = examples.order[place]
        if not examples.values[example] > 0:
            continue
        user, positive = np.int64(examples.users[example]), np.int64(examples.items[example])
        _represent_user(work, user)
        bound = _score(work, positive, work.positive_vector) - ONE
        weight = examples.weights[example]
        _step_warp(work, examples, negatives, optimiser, user, positive, weight, bound, span[2] + place)
        if _is_due(scales):
            return place + 1
    return span[1]


@_inlined
def _kth_positive(work, examples, optimiser, user, scores, items):  # type: ignore[no-untyped-def]
    """The k-th best of n positives of a user, drawn with replacement."""
    start = np.int64(examples.positive_indptr[user])
    n_positives = np.int64(examples.positive_indptr[user + 1]) - start
    n_drawn = min(optimiser.n, n_positives)
    for number in range(n_drawn):
        item = np.int64(examples.positive_indices[start + _draw(work.random, n_positives)])
        score, place = _score(work, item, work.positive_vector), number
        while place > 0 and scores[place - 1] < score:
            scores[place], items[place] = scores[place - 1], items[place - 1]
            place -= 1
        scores[place], items[place] = score, item
    return np.int64(items[min(optimiser.k, n_drawn) - 1])


@_compiled
def pass_warp_kos(users, items, examples, negatives, optimiser, scales, span, random, scratch):  # type: ignore[no-untyped-def]
    """Train by k-th order statistic WARP: the positive is the k-th best of n drawn; see `pass_warp`."""
    work = _work(users, items, scales, random, scratch)
    scores = _at(scratch, 3 * (work.width + 1))
    drawn = np.empty(optimiser.n, np.int32)
    for place in range(span[0], span[1]):
        _look_ahead(work, examples, place, span[1])
        user = np.int64(examples.users[examples.order[place]])
        if examples.positive_indptr[user + 1] == examples.positive_indptr[user]:
            continue
        _represent_user(work, user)
        positive = _kth_positive(work, examples, optimiser, user, scores, drawn)
        bound = _score(work, positive, work.positive_vector) - ONE
        _step_warp(work, examples, negatives, optimiser, user, positive, ONE, bound, span[2] + place)
        if _is_due(scales):
            return place + 1
    return span[1]


@_inlined
def _other_item(work, examples, user):  # type: ignore[no-untyped-def]
    """Item of another interaction that is no positive of the user's."""
    item, n_examples = np.int64(0), len(examples.items)
    for _ in range(n_examples):
        item = np.int64(examples.items[_draw(work.random, n_examples)])
        if not _is_positive(examples, user, item):
            break
    return item


@_compiled
def pass_bpr(users, items, examples, _negatives, optimiser, scales, span, random, scratch):  # type: ignore[no-untyped-def]
    """Train by Bayesian personalised ranking: one negative each, by popularity; see `pass_warp`."""
    work = _work(users, items, scales, random, scratch)
    for place in range(span[0], span[1]):
        _look_ahead(work, examples, place, span[1])
        example = examples.order[place]
        if not examples.values[example] > 0:
            continue
        user, positive = np.int64(examples.users[example]), np.int64(examples.items[example])
        negative = _other_item(work, examples, user)
        _represent_user(work, user)
        margin = _score(work, positive, work.positive_vector) - _score(work, negative, work.negative_vector)
        loss = examples.weights[example] * (ONE - ONE / (ONE + np.float32(math.exp(-margin))))
        _step_triple(work, loss, user, positive, negative, optimiser)
        if _is_due(scales):
            return place + 1
    return span[1]


@_compiled
def pass_logistic(users, items, examples, _negatives, optimiser, scales, span, random, scratch):  # type: ignore[no-untyped-def]
    """Train by the logistic loss: values of 0 and less are counter-examples; see `pass_warp`."""
    work = _work(users, items, scales, random, scratch)
    for place in range(span[0], span[1]):
        _look_ahead(work, examples, place, span[1])
        example = examples.order[place]
        user, item = np.int64(examples.users[example]), np.int64(examples.items[example])
        logit = _represent_user(work, user) + _score(work, item, work.positive_vector)
        target = np.float32(examples.values[example] > 0)
        loss = examples.weights[example] * (ONE / (ONE + np.float32(math.exp(-logit))) - target)
        _step_pair(work, loss, user, item, optimiser)
        if _is_due(scales):
            return place + 1
    return span[1]
