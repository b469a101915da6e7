"""Ten chunks of MovieLens-100k in time: what an increment costs and forgets, against training anew.

After each chunk every strategy ranks for the users of the next one, strangers included, as it would serve
them: what it has not learned is folded in. "Frozen" never learns again after the first chunk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness.report import write
from recommender.datasets import open_dataset
from recommender.datasets.dataset import feature_records
from recommender.feature_space import Features
from recommender.models.checkpoint import model_from_arrays, model_to_arrays, model_to_meta
from recommender.serving.snapshot import Snapshot
from recommender.training.full import Trained, TrainingData, fit
from recommender.training.incremental import IncrementSettings, News, train_increment
from recommender.training.model_settings import ModelSettings
from recommender.training.promotion_gate import JudgedSnapshot, Verdict, evaluate_snapshot
from recommender.training.snapshot_builder import CatalogueEntry

CHUNKS = 10
META = {"log_offset": 0, "items_sequence": 0, "version": "benchmark"}
YES = Verdict(accepted=True, reason=None, users=0)

Strategy = Callable[[Trained, pd.DataFrame, pd.DataFrame], Trained]


def main() -> None:
    """Print and keep the table."""
    dataset = open_dataset("movielens-100k")
    users = dict(feature_records(dataset.users))
    catalogue = {item_id: CatalogueEntry(item_id, features) for item_id, features in feature_records(dataset.items)}
    chance = np.random.default_rng(0).random(len(dataset.interactions))
    ordered = dataset.interactions.iloc[np.lexsort((chance, dataset.interactions["timestamp"]))]
    chunks = [ordered.iloc[part] for part in np.array_split(np.arange(len(ordered)), CHUNKS)]
    rows = []
    for name, strategy in strategies(users, catalogue).items():
        rows.append(run(name, strategy, chunks, users, catalogue))
        print(rows[-1], flush=True)
    full = next(row for row in rows if row["strategy"] == "full")
    for row in rows:
        row["cost_of_full"] = round(row["seconds"] / full["seconds"], 3)
    write("incremental", 0, rows)


def strategies(users: Mapping[str, Features], catalogue: Mapping[str, CatalogueEntry]) -> dict[str, Strategy]:
    """By name, what makes the next model of the last one, the chunk and all before it."""

    def increment(settings: IncrementSettings) -> Strategy:
        def learn(parent: Trained, chunk: pd.DataFrame, _: pd.DataFrame) -> Trained:
            news = News(chunk, users, catalogue)
            return train_increment(_copy(parent), news, settings, holdout=0, meta=META)

        return learn

    return {
        "full": lambda _, chunk, before: _fit(pd.concat([before, chunk]), users, catalogue),
        "frozen": lambda parent, *_: parent,
        "increment": increment(IncrementSettings()),
        "increment, no replay": increment(replace(IncrementSettings(), replay=0.0)),
        "increment, 3 times replay": increment(replace(IncrementSettings(), replay=3.0)),
        "increment, 3 epochs": increment(replace(IncrementSettings(), epochs=3)),
        "increment, 30 epochs": increment(replace(IncrementSettings(), epochs=30)),
    }


def run(
    name: str,
    strategy: Strategy,
    chunks: list[pd.DataFrame],
    users: Mapping[str, Features],
    catalogue: Mapping[str, CatalogueEntry],
) -> dict[str, Any]:
    """Quality on each next chunk, on a fifth of the first ones at the end, and seconds of training."""
    held, chunks = _held_out(chunks)
    trained = _fit(chunks[0], users, catalogue)
    unlearned = chunks[0].iloc[:0]
    next_chunk, seconds = [], 0.0
    for number in range(1, CHUNKS):
        if number > 1:
            begin = time.process_time()
            before = pd.concat(chunks[: number - 1])
            trained = strategy(trained, chunks[number - 1], before)
            seconds += time.process_time() - begin
            unlearned = pd.concat([unlearned, chunks[number - 1]]) if name == "frozen" else unlearned
        next_chunk.append(_ndcg(trained, unlearned, chunks[number], users))
    old = _ndcg(trained, unlearned, pd.concat(held[:5]), users)
    return {
        "strategy": name,
        "next_chunk_ndcg": round(float(np.mean(next_chunk)), 4),
        "old_chunks_ndcg": round(old, 4),
        "seconds": round(seconds, 2),
    }


def _held_out(chunks: list[pd.DataFrame]) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    chance = np.random.default_rng(1)
    marks = [chance.random(len(chunk)) < 0.2 for chunk in chunks]
    held = [chunk[mark] for chunk, mark in zip(chunks, marks, strict=True)]
    return held, [chunk[~mark] for chunk, mark in zip(chunks, marks, strict=True)]


def _ndcg(trained: Trained, recent: pd.DataFrame, judging: pd.DataFrame, users: Mapping[str, Features]) -> float:
    assert trained.snapshot is not None
    return evaluate_snapshot(JudgedSnapshot(trained.snapshot, recent), judging, users).means["ndcg@10"]


def _fit(rows: pd.DataFrame, users: Mapping[str, Features], catalogue: Mapping[str, CatalogueEntry]) -> Trained:
    model, snapshot = fit(TrainingData(rows, users, list(catalogue.values())), ModelSettings(), META)
    return Trained(model, snapshot, YES)


def _copy(trained: Trained) -> Trained:
    """Model of its own: several strategies go on from the same one."""
    assert isinstance(trained.snapshot, Snapshot)
    model = model_from_arrays(model_to_arrays(trained.model), model_to_meta(trained.model))
    return Trained(model, trained.snapshot, YES)


if __name__ == "__main__":
    main()
