"""What the history parts cost an answer: top 10 for users who have chosen 200 items, with and without, turn by turn.

The same vectors are served either way. The item-item matrix has 100 weights a column, or 50, which are often enough, of
items drawn as often as they are popular, and so are the histories: rows of popular items are long.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.harness import report
from benchmarks.search.seed_path import N_USERS, World
from recommender.schema import Query, UserState
from recommender.serving.catalogue import Catalogue
from recommender.serving.history_weights import HistoryWeights
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Rows, Snapshot

SEED = 0
SIZES, NEIGHBOURS, HISTORY, BATCH, N_LOW_PASS = (10_000, 100_000), 100, 200, 64, 32
ROUNDS = 15


def popular_items(chance: np.random.Generator, n_items: int, shape: tuple[int, ...]) -> np.ndarray:
    """Items by a popularity that falls like a power."""
    return (n_items * chance.random(shape) ** 2).astype(np.int32)


def with_histories(bare: Snapshot, chance: np.random.Generator) -> Snapshot:
    """The same with `HISTORY` items of every user."""
    chosen = popular_items(chance, bare.n_items, (N_USERS, HISTORY)).ravel()
    none = np.zeros(0, np.float32)
    return replace(bare, seen=Rows(np.arange(N_USERS + 1) * HISTORY, chosen, none))


def with_parts(
    bare: Snapshot,
    chance: np.random.Generator,
    half_life: float | None,
    n_low_pass: int,
    weights_a_column: int = NEIGHBOURS,
) -> Snapshot:
    """The same with a matrix and, where there are any, the last columns taken as low-pass components."""
    n = bare.n_items
    rows = popular_items(chance, n, (n, weights_a_column)).ravel()
    columns = np.repeat(np.arange(n, dtype=np.int32), weights_a_column)
    order = np.argsort(rows, kind="stable")
    indptr = np.append(0, np.cumsum(np.bincount(rows, minlength=n))).astype(np.int64)
    weights = chance.normal(0.02, 0.02, len(rows)).astype(np.float32)
    return replace(
        bare,
        item_item=Rows(indptr, columns[order], weights),
        low_pass_scale=np.full(n if n_low_pass else 0, 0.01, np.float32),
        history=HistoryWeights(half_life, [1], [1.0], [1.0], n_low_pass),
    )


def recommender_of(snapshot: Snapshot) -> Recommender:
    """Over arrays that cannot be written, as they come out of the object store."""
    arrays = snapshot.to_arrays()
    for array in arrays.values():
        array.flags.writeable = False
    return Recommender(Catalogue(Snapshot.from_arrays(arrays, snapshot.to_meta())))


def measure(n_items: int) -> list[dict[str, object]]:
    """Answers of one user and of a batch, each way."""
    chance = np.random.default_rng(SEED)
    bare = with_histories(World(n_items).recommender().snapshot, chance)
    parts = {
        "item-item": with_parts(bare, chance, None, 0),
        "item-item, half of the weights": with_parts(bare, chance, None, 0, NEIGHBOURS // 2),
        "item-item, half-life 12": with_parts(bare, chance, 12.0, 0),
        "item-item and low-pass": with_parts(bare, chance, None, N_LOW_PASS),
    }
    ways = {"none": recommender_of(bare), **{name: recommender_of(each) for name, each in parts.items()}}
    states = [UserState({f"f{index}": "1" for index in range(4)})] * BATCH
    queries = [Query(user_id=str(user)) for user in range(BATCH)]

    def calls(queries: list[Query]) -> dict[str, float]:
        asked = {
            name: lambda way=way: way.recommend_many(queries, states[: len(queries)])  # type: ignore[misc]
            for name, way in ways.items()
        }
        return least_ms(asked)

    alone, together = calls(queries[7:8]), calls(queries)
    return [
        {
            "items": n_items,
            "parts": name,
            "touched": touched(way.snapshot),
            "ms": round(alone[name], 3),
            "times": round(alone[name] / alone["none"], 2),
            "ms_of_a_batch": round(together[name] / BATCH, 3),
            "times_of_a_batch": round(together[name] / together["none"], 2),
        }
        for name, way in ways.items()
    ]


def least_ms(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Least processor time of each in any round, one after the other: what others on the machine disturb least."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begin = time.thread_time()
            call()
            least[name] = min(least[name], (time.thread_time() - begin) * 1e3)
    return least


def touched(snapshot: Snapshot) -> int:
    """Items that a user's rows touch."""
    if snapshot.history is None:
        return 0
    return int(np.count_nonzero(snapshot.item_item_part(snapshot.history_of(7))))


def main() -> None:
    """Sizes of catalogues may be given."""
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    report.write("history_parts", SEED, [row for size in sizes for row in measure(size)])


if __name__ == "__main__":
    main()
