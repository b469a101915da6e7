"""Approximate against exact search, top 100, one thread, best of some: trained vectors, resampled.

The vectors are those of a model trained on MovieLens-100k: rows drawn with replacement, with noise of some share
of each column's spread. Real catalogues have more structure than that. Vectors without any are the worst case.
"""

from __future__ import annotations

import sys
import time
from functools import cache
from importlib.util import find_spec
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.harness import report
from recommender.datasets.open import open_dataset
from recommender.serving.snapshot import Table
from recommender.training.from_dataset import training_data
from recommender.training.full import fit
from recommender.training.index_builder import Sample, build_index
from recommender.training.model_settings import ModelSettings
from recommender.vector_search import ivf as search
from recommender.vector_search.exact import NO_ROWS, Users, best_rows
from recommender.vector_search.ivf import DEPTH, Index, search_inverted_file
from recommender.vector_search.quantization import QuantizedBlock, encode

SEED = 0
SIZES, NOISES = (10_000, 30_000, 50_000, 100_000, 1_000_000), (0.5, 1.0)
N_USERS, N_ASKED, BATCH, SECONDS = 1024, 256, 64, 1.0
PROBES = (8, 12, 16, 24, 32, 48, 64, 96, 128)
"""What faiss is tried with, until it finds as much as we do."""

Floats = NDArray[np.float32]


@cache
def trained() -> tuple[Floats, Floats]:
    """Items of a trained model, the bias as last column, and its users as they are served."""
    _, snapshot = fit(
        training_data(open_dataset("movielens-100k")), ModelSettings(), {"log_offset": 0, "items_sequence": 0}
    )
    assert snapshot is not None
    rows, features = snapshot.user_rows, snapshot.user_features.vectors
    shape = len(snapshot.user_ids), len(features)
    users = sparse.csr_matrix((rows.weights, rows.indices, rows.indptr), shape) @ features
    users += snapshot.user_indicators.vectors
    return np.column_stack([snapshot.items.vectors, snapshot.items.biases]), users.astype(np.float32)


def resampled(rows: Floats, n: int, noise: float, chance: np.random.Generator) -> Floats:
    """Rows drawn with replacement, with noise in shares of each column's standard deviation."""
    drawn = rows[chance.integers(0, len(rows), n)]
    for begin in range(0, n, 100_000):
        part = drawn[begin : begin + 100_000]
        part += (noise * rows.std(axis=0)).astype(np.float32) * chance.standard_normal(part.shape, np.float32)
    return drawn


class Search:
    """One catalogue, its users and its index."""

    def __init__(self, items: Table, users: Floats) -> None:
        self.items = items
        self.users, self.asked = users[:-N_ASKED], users[-N_ASKED:]
        self.codes = encode(*items)
        self.masked = np.zeros(len(items.biases), np.bool_)
        self._next = 0

    def some(self, n: int) -> Floats:
        """The next users; nobody asks twice in a row."""
        self._next = (self._next + n) % (N_ASKED - n + 1)
        return self.asked[self._next : self._next + n]

    def exact(self, users: Floats, codes: QuantizedBlock | None = None) -> list[NDArray[np.int32]]:
        """Best rows in one pass."""
        found = best_rows(*self.items, *self._arguments(users), **self._free(users), codes=codes)
        return [best.rows for best in found]

    def nearest(self, index: Index, users: Floats) -> list[NDArray[np.int32]]:
        """Best rows of the nearest lists."""
        found = search_inverted_file(index, *self.items, *self._arguments(users), **self._free(users))
        return [best.rows for best in found]

    def _arguments(self, users: Floats) -> tuple[Users, list[int]]:
        return Users(users, np.zeros(len(users), np.float32)), [DEPTH] * len(users)

    def _free(self, users: Floats) -> dict[str, Any]:
        return {"masked": self.masked, "excluded": [NO_ROWS] * len(users)}


def measure(world: Search) -> dict[str, Any]:
    """Our index and, where it is installed, that of faiss, on the users who had no part in it."""
    exact = world.exact(world.asked)
    row: dict[str, Any] = {"exact_ms": _ms(lambda: world.exact(world.some(1)))}
    row["exact_64_ms"] = round(_ms(lambda: world.exact(world.some(BATCH))) / BATCH, 4)
    row["coded_ms"] = _ms(lambda: world.exact(world.some(1), world.codes))
    row["coded_64_ms"] = round(_ms(lambda: world.exact(world.some(BATCH), world.codes)) / BATCH, 4)
    begin = time.perf_counter()
    built = build_index(world.items, Sample(world.users, [NO_ROWS] * len(world.users)))
    row["build_s"] = round(time.perf_counter() - begin, 1)
    if built is None:
        return row | {"index": "none: exact"}
    index = built[0]
    row |= {"lists": len(index.reach), "probes": index.probes}
    row["index_mb"] = round(sum(array.nbytes for array in index.to_arrays().values()) / 1e6, 1)
    row["block_mb"] = round(world.items.vectors.nbytes / 1e6, 1)
    shared, search.SHARED_COST = search.SHARED_COST, 1.0  # lists are measured even where a batch would not read them
    row["recall"] = _recall(world.nearest(index, world.asked), exact)
    row["index_ms"] = _ms(lambda: world.nearest(index, world.some(1)))
    row["ratio"] = round(row["exact_ms"] / row["index_ms"], 1)
    row["ratio_to_coded"] = round(row["coded_ms"] / row["index_ms"], 1)
    row["index_64_ms"] = round(_ms(lambda: world.nearest(index, world.some(BATCH))) / BATCH, 4)
    search.SHARED_COST = shared
    row |= _layouts(world, index)
    return row | _faiss(world, exact, row["recall"])


def _layouts(world: Search, index: Index) -> dict[str, float]:
    """Time of the lists' rows where they stand, and in a second block that has every list in one piece."""
    pieces = Table(world.items.vectors[index.indices], world.items.biases[index.indices])
    everyone = Users(world.asked, np.zeros(N_ASKED, np.float32))
    nobody, nothing = np.zeros(len(index.reach), np.bool_), [NO_ROWS] * N_ASKED
    promising = best_rows(
        index.vectors, index.reach, everyone, [index.probes] * N_ASKED, masked=nobody, excluded=nothing
    )
    lists = [best.rows.tolist() for best in promising]
    standing = [index.rows(own) for own in lists]
    together = [
        np.concatenate([np.arange(index.indptr[each], index.indptr[each + 1], dtype=np.int32) for each in own])
        for own in lists
    ]
    times = {}
    for name, items, rows in (("scan_ms", world.items, standing), ("scan_pieces_ms", pieces, together)):
        turns = cycle(range(N_ASKED))

        def scan(items: Table = items, rows: Any = rows, turns: Any = turns) -> None:
            user = next(turns)
            one = Users(world.asked[user : user + 1], np.zeros(1, np.float32))
            best_rows(*items, one, [DEPTH], masked=world.masked, excluded=[NO_ROWS], rows=rows[user])

        times[name] = _ms(scan)
    return times


def _faiss(world: Search, exact: list[NDArray[np.int32]], recall: float) -> dict[str, Any]:
    if find_spec("faiss") is None:
        return {}
    import faiss  # noqa: PLC0415  # optional

    faiss.omp_set_num_threads(1)
    items = np.column_stack(world.items)
    n, width = items.shape
    begin = time.perf_counter()
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, round(4 * n**0.5), faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = 40, 1
    index.train(items)
    index.add(items)
    built = time.perf_counter() - begin
    asked = _wide(world.asked)
    for index.nprobe in PROBES:
        found = _recall(list(index.search(asked, DEPTH)[1]), exact)
        if found >= recall:
            break
    one = _ms(lambda: index.search(_wide(world.some(1)), DEPTH))
    return {"faiss_ms": one, "faiss_recall": found, "faiss_probes": index.nprobe, "faiss_build_s": round(built, 1)}


def _wide(users: Floats) -> Floats:
    return np.column_stack([users, np.ones(len(users), np.float32)])


def _ms(call: Any) -> float:
    return round(report.best_ms(call, SECONDS), 4)


def _recall(found: list[NDArray[Any]], exact: list[NDArray[np.int32]]) -> float:
    shares = [np.isin(best, own).mean() for own, best in zip(found, exact, strict=True)]
    return round(float(np.mean(shares)), 4)


def worlds(n_items: int, noises: tuple[float, ...]) -> list[tuple[str, Search]]:
    """Catalogues of a size: resampled ones, and one without structure."""
    items, users = trained()
    made = []
    for noise in noises:
        chance = np.random.default_rng(SEED)
        drawn = resampled(items, n_items, noise, chance)
        table = Table(np.ascontiguousarray(drawn[:, :-1]), np.ascontiguousarray(drawn[:, -1]))
        made.append((f"noise {noise}", Search(table, resampled(users, N_USERS + N_ASKED, noise, chance))))
    return made


def main() -> None:
    """Measure every size."""
    sizes = [int(argument) for argument in sys.argv[1:]] or SIZES
    rows = []
    for n_items in sizes:
        for name, world in worlds(n_items, NOISES if n_items < 1_000_000 else NOISES[:1]):
            rows.append({"items": n_items, "vectors": name, **measure(world)})
            print(rows[-1], flush=True)
    chance = np.random.default_rng(SEED)
    table = Table(chance.standard_normal((100_000, 64), np.float32), np.zeros(100_000, np.float32))
    world = Search(table, chance.standard_normal((N_USERS + N_ASKED, 64), np.float32))
    rows.append({"items": 100_000, "vectors": "gaussian", **measure(world)})
    report.write("approximate", SEED, rows)


if __name__ == "__main__":
    main()
