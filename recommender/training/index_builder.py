"""Indexing: the lists of an index, found by k-means, and how many of them must be read, by measurement."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.fold_in import fold_in_rows
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.serving.snapshot import Snapshot, Table
from recommender.vector_search.exact import Users, best_rows
from recommender.vector_search.ivf import DEPTH, Index
from recommender.vector_search.quantization import encode

APPROXIMATE_ABOVE = 200_000
"""Items from which on an index is built: below, the exact pass over codes takes less than what else an answer takes
(``benchmarks/search/ivf.py``)."""
RECALL = 0.99
"""Share of the exact best rows that must be found."""
AIM = 0.994
"""What the probes are chosen for on some users, so that others have `RECALL` too."""
LISTS_PER_ROOT = 4.0
"""Lists, in square roots of the number of rows."""
SAMPLE_PER_LIST, ROUNDS = 24, 6
"""Rows that a list is learned from, and how often all lists move."""
SPREADS = 2.0
"""Reach of a list beyond its mean, in standard deviations of its scores: its best rows are what counts."""
MOST_USERS, FEWEST_USERS = 1024, 32
_CHUNK = 1024
"""Rows that are compared with all lists at once."""


class Sample(NamedTuple):
    """Users by whom an index is made and judged."""

    vectors: NDArray[np.float32]
    """Shape (m, d), in random order."""
    excluded: list[NDArray[np.int32]]
    """Rows that each does not get, rising."""

    def part(self, start: int, step: int) -> Sample:
        """Every so manieth of them."""
        return Sample(self.vectors[start::step], self.excluded[start::step])


def indexed(
    model: LFMRecommender, snapshot: Snapshot, above: int | None = APPROXIMATE_ABOVE, parent: Index | None = None
) -> Snapshot:
    """Snapshot with what search reads beside its items: codes, and an index where that finds enough in less time.

    Parameters
    ----------
    model
        What the snapshot was built from.
    snapshot
        Complete but for that.
    above
        Number of items from which on there may be an index; None for never.
    parent
        Index of the snapshot from which this one went on; its lists are kept and only moved once.

    Returns
    -------
    With ``meta["index"]``: number of ``lists``, ``probes``, ``recall`` at `DEPTH` of users who had no part in
    the choice, ``seconds`` it took; and without either where there is no index.
    """
    meta = {name: value for name, value in snapshot.meta.items() if name != "index"}
    bare = replace(snapshot, codes=encode(*snapshot.items), index=None, meta=meta)
    if above is None or snapshot.n_items < above:
        return bare
    begin = time.monotonic()
    built = build_index(snapshot.items, _served(model, snapshot), parent, coded=bare.codes is not None)
    if built is None:
        return bare
    index, recall = built
    about = {"lists": len(index.reach), "probes": index.probes, "recall": round(recall, 4)}
    about["seconds"] = round(time.monotonic() - begin, 2)
    return replace(bare, index=index, meta={**meta, "index": about})


def build_index(
    items: Table, users: Sample, parent: Index | None = None, *, coded: bool = False, seed: int = 0
) -> tuple[Index, float] | None:
    """Index of a block for such users, and its recall.

    Parameters
    ----------
    items
        The block.
    users
        Half of them say what distances matter, a quarter how many lists must be read, a quarter judges.
    parent
        Index of an earlier state of the block.
    coded
        Whether an exact pass reads codes.
    seed
        Which rows the lists are learned from.

    Returns
    -------
    None where users are too few to measure by, where `RECALL` is missed, or where an exact pass costs less.

    Notes
    -----
    Rows are near when such users score them alike: the distance of k-means is that of scores,
    ``(x - c)ᵀ E[q qᵀ] (x - c)``, with the bias as one more column that every user weighs 1. Against plain distances
    half as many rows are read. O(n · sqrt(n) · d) for the lists.
    """
    n = len(items.biases)
    if len(users.vectors) < FEWEST_USERS or n == 0:
        return None
    metric = _metric(users.part(0, 2).vectors)
    centres = _centres(items, metric, seed) if parent is None else _moved(items, parent)
    index = _lists(items, centres, metric)
    probes = max(1, _needed(index, items, users.part(1, 4), AIM))
    recall = _recall(index, items, users.part(3, 4), probes)
    index = replace(index, probes=probes)
    return (index, recall) if recall >= RECALL and index.probes_for(n, 1, coded=coded) is not None else None


def _served(model: LFMRecommender, snapshot: Snapshot, seed: int = 0) -> Sample:
    """Some users as they are served: known ones, by features alone, and new ones by three interactions."""
    n, seen = len(snapshot.seen.indptr) - 1, snapshot.seen
    users = np.random.default_rng(seed).permutation(n)[: MOST_USERS // 3]
    excluded = [np.unique(seen.row(user)) for user in users]
    own = np.zeros((len(users), snapshot.no_components), np.float32)
    embeddings: Any = model.user_embeddings
    features = model.users.rows()[users] @ embeddings
    if model.users.has_indicators:
        features -= embeddings[model.users.indicator_columns[users]]
        own = snapshot.user_indicators.vectors[users]
    # features say nothing of the components of histories, which stand behind the model's
    features = np.pad(features, ((0, 0), (0, snapshot.no_components - features.shape[1])))
    heads = [seen.row(user)[:3] for user in users]
    indptr = np.concatenate([[0], np.cumsum([len(head) for head in heads])])
    new = fold_in_rows(snapshot.fold_in_weights, snapshot.items.vectors, indptr, np.concatenate(heads))
    kinds = [features + own, new]
    if features.any():
        kinds.append(features)
    # user by user, so that every part of the sample has all kinds
    together = np.stack(kinds, axis=1).reshape(-1, snapshot.no_components)
    order = np.random.default_rng(seed).permutation(len(together))
    return Sample(together[order].astype(np.float32), [excluded[place // len(kinds)] for place in order])


def _metric(users: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of ``q qᵀ``; directions in which these users do not differ count a little too."""
    points = np.column_stack([users, np.ones(len(users), np.float32)])
    moments = points.T @ points / len(points)
    ridge = 0.01 * float(np.trace(moments)) / len(moments)
    metric: NDArray[np.float32] = (moments + ridge * np.eye(len(moments))).astype(np.float32)
    return metric


def _points(items: Table, rows: NDArray[np.int64] | slice) -> NDArray[np.float32]:
    return np.column_stack([items.vectors[rows], items.biases[rows]])


def _centres(items: Table, metric: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Lloyd's algorithm on a sample; a list that loses all its rows begins again at one of them."""
    random, n = np.random.default_rng(seed), len(items.biases)
    n_lists = max(1, round(LISTS_PER_ROOT * n**0.5))
    sample = _points(items, np.sort(random.permutation(n)[: n_lists * SAMPLE_PER_LIST]))
    centres: NDArray[np.float32] = sample[random.permutation(len(sample))[:n_lists]]
    for _ in range(ROUNDS):
        belongs, _ = _nearest(sample, centres, metric)
        sizes = np.bincount(belongs, minlength=len(centres))
        centres = _means(sample, belongs, sizes)
        empty = np.flatnonzero(sizes == 0)
        centres[empty] = sample[random.integers(0, len(sample), len(empty))]
    return centres


def _moved(items: Table, parent: Index) -> NDArray[np.float32]:
    """Means of what the parent's lists hold, as it is now."""
    sizes = np.diff(parent.indptr)
    belongs = np.repeat(np.arange(len(sizes)), sizes)
    there = parent.indices < len(items.biases)
    belongs, rows = belongs[there], parent.indices[there]
    sizes = np.bincount(belongs, minlength=len(sizes))
    return _means(_points(items, rows.astype(np.int64)), belongs, sizes)[sizes > 0]


def _means(points: NDArray[np.float32], belongs: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float32]:
    membership = sparse.csr_matrix(
        (np.ones(len(points), np.float32), (belongs, np.arange(len(points)))), (len(sizes), len(points))
    )
    means: NDArray[np.float32] = (membership @ points) / np.maximum(sizes, 1)[:, None].astype(np.float32)
    return means


def _nearest(
    points: NDArray[np.float32], centres: NDArray[np.float32], metric: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Nearest centre of each point, and the square of its distance."""
    weighed = centres @ metric
    columns = np.column_stack([weighed, -0.5 * np.einsum("ij,ij->i", weighed, centres)]).T.copy()
    belongs, squares = np.empty(len(points), np.int64), np.empty(len(points), np.float32)
    for begin in range(0, len(points), _CHUNK):
        own = slice(begin, begin + _CHUNK)
        some = points[own]
        near = np.column_stack([some, np.ones(len(some), np.float32)]) @ columns
        belongs[own] = near.argmax(axis=1)
        best = near[np.arange(len(some)), belongs[own]]
        squares[own] = np.einsum("ij,ij->i", some @ metric, some) - 2 * best
    return belongs, np.maximum(squares, 0)


def _lists(items: Table, centres: NDArray[np.float32], metric: NDArray[np.float32]) -> Index:
    points = _points(items, slice(None))
    nearest, squares = _nearest(points, centres, metric)
    # a centre that no row is nearest to gets no list
    _, belongs, sizes = np.unique(nearest, return_inverse=True, return_counts=True)
    means = _means(points, belongs, sizes)
    spread = np.sqrt(np.bincount(belongs, squares) / sizes)
    reach = means[:, -1] + SPREADS * spread
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    order = np.argsort(belongs, kind="stable").astype(np.int32)
    return Index(np.ascontiguousarray(means[:, :-1]), reach.astype(np.float32), indptr, order, 0)


def _ranks(index: Index, items: Table, users: Sample) -> NDArray[np.int64]:
    """For each of a user's exact best rows, how many lists promise more than its own; all users together."""
    belongs = np.empty(len(items.biases), np.int64)
    belongs[index.indices] = np.repeat(np.arange(len(index.reach)), np.diff(index.indptr))
    ranks: list[NDArray[np.int64]] = []
    masked = np.zeros(len(items.biases), np.bool_)
    for begin in range(0, len(users.vectors), 64):
        some = users.vectors[begin : begin + 64]
        asked = Users(some, np.zeros(len(some), np.float32))
        excluded = users.excluded[begin : begin + 64]
        exact = best_rows(*items, asked, [DEPTH] * len(some), masked=masked, excluded=excluded)
        promised = some @ index.vectors.T + index.reach
        places = np.argsort(np.argsort(-promised, axis=1, kind="stable"), axis=1)
        ranks.extend(own[belongs[best.rows]] for own, best in zip(places, exact, strict=True))
    return np.concatenate(ranks)


def _needed(index: Index, items: Table, users: Sample, share: float) -> int:
    """Lists that hold that share of the exact best rows."""
    ranks = np.sort(_ranks(index, items, users))
    return int(ranks[min(len(ranks) - 1, int(np.ceil(share * len(ranks))))]) + 1


def _recall(index: Index, items: Table, users: Sample, probes: int) -> float:
    return float((_ranks(index, items, users) < probes).mean())
