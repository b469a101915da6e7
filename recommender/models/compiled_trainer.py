"""CompiledTrainer: epochs of stochastic gradient descent over a LightFM model's own weights, by compiled kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from lightfm import LightFM
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.lightfm_kernels import (
    CACHED,
    NEVER,
    SINGLE,
    SUMMED,
    Examples,
    Negatives,
    Optimiser,
    SideTables,
    pass_bpr,
    pass_logistic,
    pass_warp,
    pass_warp_kos,
    scratch_floats,
    shuffle,
)

TABLES = (
    "embeddings",
    "embedding_gradients",
    "embedding_momentum",
    "biases",
    "bias_gradients",
    "bias_momentum",
)
"""LightFM's state of one side; each table has one row a column of that side."""

_CACHE_FROM = 10
"""Features that an item has on average from which on sums are kept. With five, summing anew was as fast."""
_CACHED_ITEMS = 50_000
"""More items than this come round too rarely for a sum of theirs to be of use again while it is young enough."""
_LINE_BYTES = 64

_Span = tuple[int, int, int]
_PASSES: dict[str, Callable[..., int]] = {
    "logistic": pass_logistic,
    "warp": pass_warp,
    "bpr": pass_bpr,
    "warp-kos": pass_warp_kos,
}


class CompiledTrainer:
    """Stochastic gradient descent over one set of interactions; what does not change between epochs is made once.

    Parameters
    ----------
    model
        Whose tables are trained, by its loss and hyper-parameters.
    interactions
        Users by items, float32, with int32 places.
    user_features, item_features
        Rows by columns of the tables, float32.
    weights
        Weight of each stored interaction, float32.
    max_age
        Steps for which a sum of an item's features may find negatives; as many as there are items when absent, so that
        about one is made anew a step. What is found is checked by a sum of the moment: only an item that has come to
        violate the margin within so many steps is missed. 0 to sum for each draw, as LightFM does.
    """

    def __init__(
        self,
        model: LightFM,
        interactions: sparse.coo_matrix,
        user_features: sparse.csr_matrix,
        item_features: sparse.csr_matrix,
        weights: NDArray[np.float32],
        *,
        max_age: int | None = None,
    ) -> None:
        self._model = model
        self._users = _tables(model, "user", user_features)
        self._items = _tables(model, "item", item_features)
        rows, columns = np.ascontiguousarray(interactions.row), np.ascontiguousarray(interactions.col)
        self._pairs = (rows, columns, np.ascontiguousarray(interactions.data), weights)
        positives = interactions.tocsr()
        positives.sort_indices()
        self._positives = (positives.indptr, positives.indices)
        self._negatives = _negatives(self._items, item_features, max_age)
        self._optimiser = _optimiser(model)
        self._scales = np.ones(2)
        self._steps = 0

    @property
    def n_examples(self) -> int:
        """Interactions that an epoch goes over."""
        return len(self._pairs[0])

    def run_epoch(self, num_threads: int = 1, order: NDArray[np.int32] | None = None) -> None:
        """Train on every interaction once.

        Parameters
        ----------
        num_threads
            Each goes over a part of the interactions, without locks; with one, the result is the same to the bit
            for the same state of the model's ``random_state``.
        order
            Of the interactions; at random when absent.
        """
        chance = self._model.random_state
        order = _shuffled(self.n_examples, _seeds(chance, 1)[0]) if order is None else order
        examples = Examples(*self._pairs, order, *self._positives)
        states = np.split(_seeds(chance, num_threads), num_threads)
        bounds = np.linspace(0, self.n_examples, num_threads + 1).astype(np.int64).tolist()
        spans = [(start, stop, self._steps) for start, stop in pairwise(bounds)]
        while spans:
            stops = self._pass_over(examples, spans, states)
            self._regularise()
            spans = [(at, stop, steps) for at, (_, stop, steps) in zip(stops, spans, strict=True)]
            if all(start >= stop for start, stop, _ in spans):
                break
        self._steps += self.n_examples

    def _pass_over(self, examples: Examples, spans: Sequence[_Span], states: Sequence[NDArray[np.uint32]]) -> list[int]:
        """Where each thread stopped."""

        def run(span: _Span, state: NDArray[np.uint32]) -> int:
            scratch = np.empty(scratch_floats(self._model.no_components, self._model.n), np.float32)
            how = (self._negatives, self._optimiser, self._scales)
            return _PASSES[self._model.loss](self._users, self._items, examples, *how, span, state, scratch)

        if len(spans) == 1:
            return [run(spans[0], states[0])]
        with ThreadPoolExecutor(len(spans)) as pool:
            return list(pool.map(run, spans, states))

    def _regularise(self) -> None:
        """Write the lazy regularisation into the weights."""
        for side, scale in zip((self._items, self._users), self._scales, strict=True):
            if scale != 1:
                np.divide(side.embeddings, np.float32(scale), out=side.embeddings)
                np.divide(side.biases, np.float32(scale), out=side.biases)
        self._scales[:] = 1
        self._negatives.steps[:] = NEVER


def _tables(model: LightFM, what: str, features: sparse.csr_matrix) -> SideTables:
    tables = {table: _aligned(getattr(model, f"{what}_{table}")) for table in TABLES}
    for table, values in tables.items():
        setattr(model, f"{what}_{table}", values)
    indptr, indices, weights = _csr(features)
    return SideTables(**tables, indptr=indptr, indices=indices, weights=weights)


def _aligned(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """The table, or a copy that begins at a cache line: a row of 64 floats lies in four lines then, not in five."""
    if table.ctypes.data % _LINE_BYTES == 0:
        return table
    room = np.empty(table.nbytes + _LINE_BYTES, np.uint8)
    first = -room.ctypes.data % _LINE_BYTES
    copy = room[first : first + table.nbytes].view(np.float32).reshape(table.shape)
    copy[...] = table
    return copy


def _csr(matrix: sparse.csr_matrix) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    return (
        np.ascontiguousarray(matrix.indptr, np.int32),
        np.ascontiguousarray(matrix.indices, np.int32),
        np.ascontiguousarray(matrix.data, np.float32),
    )


def _negatives(items: SideTables, features: sparse.csr_matrix, max_age: int | None) -> Negatives:
    n_items, nothing = features.shape[0], np.zeros(1, np.int64)
    if (np.diff(features.indptr) == 1).all() and (features.data == 1).all():
        return Negatives(items.embeddings, items.biases, items.indices, nothing, SINGLE, 0)
    max_age = n_items if max_age is None else max_age
    if not max_age or n_items > _CACHED_ITEMS or features.nnz < _CACHE_FROM * n_items:
        return Negatives(items.embeddings, items.biases, items.indices, nothing, SUMMED, 0)
    vectors = np.zeros((n_items, items.embeddings.shape[1]), np.float32)
    rows, steps = np.arange(n_items, dtype=np.int32), np.full(n_items, NEVER, np.int64)
    return Negatives(vectors, np.zeros(n_items, np.float32), rows, steps, CACHED, max_age)


def _optimiser(model: LightFM) -> Optimiser:
    names = ("learning_rate", "rho", "epsilon", "item_alpha", "user_alpha")
    numbers = {name: np.float32(getattr(model, name)) for name in names}
    adadelta = model.learning_schedule == "adadelta"
    return Optimiser(**numbers, adadelta=adadelta, max_sampled=model.max_sampled, k=model.k, n=model.n)


def _seeds(chance: np.random.RandomState, size: int) -> NDArray[np.uint32]:
    """As LightFM seeds its threads."""
    return chance.randint(0, np.iinfo(np.int32).max, size=size).astype(np.uint32)


def _shuffled(n: int, seed: np.uint32) -> NDArray[np.int32]:
    order = np.arange(n, dtype=np.int32)
    shuffle(order, seed)
    return order
