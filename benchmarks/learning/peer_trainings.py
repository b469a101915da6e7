"""A full training by the service's defaults against ``implicit``'s ALS and EASE: seconds and quality side by side.

``python -m benchmarks.learning.peer_trainings --gowalla gowalla_train.npz gowalla_test.npz`` takes one world after the
other: a million made-up interactions, and Gowalla's public split. Ours is `train_full` with all that the service does:
tuning, evaluation on a hold-out, early stopping, item-item matrix. All have as many threads.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.harness.report import RESULTS, write
from benchmarks.learning.training_scale import EACH, ITEMS_A_GROUP, SIZES
from recommender.datasets import synthetic
from recommender.deferred_imports import needed
from recommender.evaluation import evaluate
from recommender.evaluation.metrics import Score
from recommender.experiments.baselines import ease
from recommender.experiments.candidates import Served
from recommender.experiments.fixed_splits import fixed_split
from recommender.experiments.folds import Fold, fold_of
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.training.full import TrainingData, train_full
from recommender.training.model_settings import ModelSettings

SEED = 0
K = 10
HELD_OUT = 0.1
FACTORS, ITERATIONS = 64, 15
EASE_ITEMS, PENALTY = 10_000, 250.0
"""EASE inverts a dense matrix of this square: the most frequent items, where there are more."""
ALL_EPOCHS = "ours, all epochs"
META = {"log_offset": 0, "items_sequence": 0, "version": "candidate"}
Row = dict[str, Any]


def worlds(asked: argparse.Namespace) -> Iterator[tuple[str, Fold]]:
    """Folds by their name."""
    if asked.size:
        n_users, n_items = SIZES[asked.size]
        groups = max(2, n_items // ITEMS_A_GROUP)
        world = synthetic.make("taste_groups", n_users, n_items, EACH, groups, noise=0.1, seed=SEED)
        yield f"made up, {asked.size}", fold_of(world, "random", HELD_OUT, SEED)
    if asked.gowalla:
        yield "Gowalla", fixed_split(*map(Path, asked.gowalla))


def ours(fold: Fold, threads: int, **settings: Any) -> tuple[Score, Row]:
    """What the service would serve, and what the training says of itself."""
    data = TrainingData(fold.older.assign(offset=0), fold.users, fold.catalogue)
    trained = train_full(data, replace(ModelSettings(num_threads=threads), **settings), meta=META)
    assert trained.snapshot is not None
    pays = trained.choices is not None and trained.choices.lightfm_pays
    about = {"stopped_after": trained.epochs, "lightfm_pays": pays}
    return Served(fold, Recommender(Catalogue(trained.snapshot))), about


def als(fold: Fold, threads: int) -> tuple[Score, Row]:
    """``implicit``'s ALS with its defaults."""
    make = needed("implicit.als").AlternatingLeastSquares
    model = make(factors=FACTORS, iterations=ITERATIONS, num_threads=threads, random_state=SEED)
    model.fit(fold.train, show_progress=False)
    users, items = np.asarray(model.user_factors), np.asarray(model.item_factors)
    return lambda rows: np.asarray(users[rows] @ items.T, np.float32), {}


def ease_of_frequent(fold: Fold, threads: int) -> tuple[Score, Row]:  # noqa: ARG001 (numpy's threads are set outside)
    """EASE over the most frequent items; the others it ranks last."""
    train = sparse.csr_matrix(fold.train)
    counts = np.bincount(train.indices, minlength=train.shape[1])
    frequent = np.sort(np.argsort(-counts, kind="stable")[:EASE_ITEMS])
    score = ease(train[:, frequent], SEED, {"penalty": PENALTY})

    def scores(users: Any) -> Any:
        whole = np.full((len(users), train.shape[1]), -np.inf, np.float32)
        whole[:, frequent] = score(users)
        return whole

    return scores, {"items": len(frequent)}


MODELS: dict[str, Callable[[Fold, int], tuple[Score, Row]]] = {
    "ours, service defaults": ours,
    ALL_EPOCHS: lambda fold, threads: ours(fold, threads, early_stopping=False),
    f"implicit ALS, {FACTORS} factors, {ITERATIONS} iterations": als,
    "EASE": ease_of_frequent,
}


def measured(name: str, fold: Fold, threads: int, users: int) -> Row:
    """Seconds of a training, and quality for some users."""
    wall, cpu = time.perf_counter(), time.process_time()
    score, about = MODELS[name](fold, threads)
    costs = {"fit_s": round(time.perf_counter() - wall, 1), "fit_cpu_s": round(time.process_time() - cpu, 1)}
    means = evaluate(score, fold.train, _of_some(fold.test, users), k=K, lists_only=True).means
    quality = {metric: round(means[metric], 4) for metric in (f"ndcg@{K}", f"recall@{K}")}
    return {"model": name, **costs, **quality, **about}


def main() -> None:
    """Measure every model on every world, and keep the table; rows of worlds that are not asked for stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1M", choices=[*SIZES, ""], help="of the made-up world; empty for none")
    parser.add_argument("--gowalla", nargs=2, metavar=("TRAIN", "TEST"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--users", type=int, default=5_000, help="that quality is measured for")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    asked = parser.parse_args()
    rows = []
    for world, fold in worlds(asked):
        for name in asked.models:
            if name == ALL_EPOCHS and rows and rows[-1].get("stopped_after") is None:
                continue  # nothing was stopped early
            costs = measured(name, fold, asked.threads, asked.users)
            rows.append({"world": world, "interactions": len(fold.older), **costs})
            print(rows[-1], flush=True)
    write("peer_trainings", SEED, [*_kept(rows), *rows])


def _kept(rows: list[Row]) -> list[Row]:
    path = RESULTS / "peer_trainings.json"
    before: list[Row] = json.loads(path.read_text())["rows"] if path.exists() else []
    return [row for row in before if row["world"] not in {each["world"] for each in rows}]


def _of_some(test: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """Pairs of some users."""
    asked = np.flatnonzero(np.diff(test.indptr))
    chosen = np.zeros(test.shape[0], np.float32)
    chosen[np.random.default_rng(SEED).permutation(asked)[:n]] = 1
    some = sparse.csr_matrix(sparse.diags_array(chosen) @ test)
    some.eliminate_zeros()
    return some


if __name__ == "__main__":
    assert os.environ.get("OMP_NUM_THREADS"), "set OMP_NUM_THREADS: BLAS has threads of its own otherwise"
    main()
