"""Epochs of the compiled trainer against LightFM's own, on the same weights, one after the other in one process.

The world is that of `training_scale` at 1M interactions: three features in four columns and an indicator each, and the
same world with indicators alone. Each epoch of LightFM's is followed by one of ours from the same state on; what counts
is the ratio, of processor seconds too, because the machine may be somebody else's meanwhile.
What ours makes once a fit (the lookup of positives, which LightFM makes each epoch) and its compilation do not count.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from lightfm import LightFM
from scipy import sparse

from benchmarks.harness.report import write
from benchmarks.learning.training_scale import EACH, ITEMS_A_GROUP, SEED, SIZES
from recommender.datasets import synthetic
from recommender.datasets.dataset import feature_records
from recommender.feature_space import FeatureSpace
from recommender.models.compiled_trainer import CompiledTrainer
from recommender.sparse_frame import SparseFrame

OPTIONS = {"no_components": 64, "loss": "warp", "learning_rate": 0.02, "max_sampled": 10, "random_state": SEED}
"""The service's defaults."""

Matrices = tuple[sparse.coo_matrix, sparse.csr_matrix, sparse.csr_matrix]


def main() -> None:
    """Measure with features and without, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1M", choices=SIZES)
    parser.add_argument("--threads", nargs="+", type=int, default=[2, 1])
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each that are timed")
    parser.add_argument("--after", type=int, default=10, help="epochs before a later one is timed; 0 for none")
    asked = parser.parse_args()
    interactions, users, items = make_world(asked.size)
    sides = {"features": (users, items), "indicators": (_identity(users.shape[0]), _identity(items.shape[0]))}
    rows = [
        row
        for name, (ours, theirs) in sides.items()
        for threads in asked.threads
        for row in _rows(name, (interactions, ours, theirs), threads, asked.rounds, asked.after)
    ]
    write("epoch_speed", SEED, rows)


def make_world(size: str) -> Matrices:
    """Interactions, and features of users and items with an indicator behind."""
    n_users, n_items = SIZES[size]
    world = synthetic.make(
        "taste_groups", n_users, n_items, EACH, max(2, n_items // ITEMS_A_GROUP), noise=0.1, seed=SEED
    )
    frame = SparseFrame.from_interactions(world.interactions["user_id"], world.interactions["item_id"])
    users = _encoded(list(frame.rows), dict(feature_records(world.users)))
    items = _encoded(list(frame.columns), dict(feature_records(world.items)))
    return frame.matrix.tocoo(), users, items


def _encoded(ids: list[str], features: dict[str, Any]) -> sparse.csr_matrix:
    records = [features[each] for each in ids]
    encoded = FeatureSpace.empty().extended(records).encode_many(records)
    return sparse.hstack([encoded, _identity(len(ids))]).tocsr().astype(np.float32)


def _identity(n: int) -> sparse.csr_matrix:
    return sparse.identity(n, dtype=np.float32, format="csr")


def _rows(name: str, matrices: Matrices, threads: int, rounds: int, after: int) -> list[dict[str, Any]]:
    model = LightFM(**OPTIONS).fit_partial(*matrices, epochs=0)
    _epochs_of_ours(copy.deepcopy(model), matrices, threads)(1)  # compiles
    rows = [_row(name, "first", copy.deepcopy(model), matrices, threads, rounds)]
    if after:
        _epochs_of_ours(model, matrices, threads)(after)
        rows.append(_row(name, f"after {after}", model, matrices, threads, rounds))
    return rows


def _row(name: str, when: str, model: LightFM, matrices: Matrices, threads: int, rounds: int) -> dict[str, Any]:
    theirs, ours = [], []
    for _ in range(rounds):
        copies = copy.deepcopy(model), copy.deepcopy(model)
        theirs.append(_timed(lambda n, own=copies[0]: own.fit_partial(*matrices, epochs=n, num_threads=threads)))
        ours.append(_timed(_epochs_of_ours(copies[1], matrices, threads)))
    row: dict[str, Any] = {"world": name, "epoch": when, "threads": threads, "interactions": matrices[0].nnz}
    for place, unit in enumerate(("wall_s", "cpu_s")):
        both = [statistics.median(each[place] for each in measured) for measured in (theirs, ours)]
        row |= {f"lightfm_{unit}": round(both[0], 3), f"compiled_{unit}": round(both[1], 3)}
        row[f"{unit[:-2]}_ratio"] = round(both[0] / both[1], 2)
    print(row, flush=True)
    return row


def _epochs_of_ours(model: LightFM, matrices: Matrices, threads: int) -> Callable[[int], None]:
    interactions, users, items = matrices
    trainer = CompiledTrainer(model, interactions, users, items, np.ones(interactions.nnz, np.float32))

    def run(n: int) -> None:
        for _ in range(n):
            trainer.run_epoch(threads)

    return run


def _timed(run: Callable[[int], object]) -> tuple[float, float]:
    """Wall and processor seconds of an epoch."""
    wall, cpu = time.perf_counter(), time.process_time()
    run(1)
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
