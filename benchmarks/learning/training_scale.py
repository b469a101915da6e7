"""A full training by the service's defaults, and an increment: seconds and peak memory of every stage, by size.

``python -m benchmarks.learning.training_scale`` runs each size in a process of its own: tuning, evaluation, item-item
matrix, index and publishing included. The stages are those of the real `TrainingPipeline`: their functions are wrapped
where it finds them, and what a stage calls is counted for itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.report import RESULTS, write
from recommender.datasets import synthetic
from recommender.feature_space import FeatureSpace
from recommender.models.early_stopping import EarlyStopping
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.schema import Query, UserState
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.sparse_frame import SparseFrame
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry
from recommender.stores.memory_store import MemoryStore
from recommender.stores.protocols import Interaction
from recommender.training import base_version, full, incremental, learning_steps, log_archiver
from recommender.training.incremental import IncrementSettings
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline

SEED = 0
EACH = 105
"""Draws of a user; some 100 remain when repeated ones are dropped."""
SIZES = {
    "30k": (300, 150),
    "300k": (3_000, 1_500),
    "1M": (10_000, 5_000),
    "3M": (30_000, 15_000),
    "10M": (100_000, 50_000),
    "30M": (300_000, 150_000),
}
"""Users and items; both have three features in four columns, and an indicator."""
DEFAULTS = ModelSettings()
ITEMS_A_GROUP = 2_500
N_EVENTS = 10_000
"""Of the increment."""
GIB = 2**30
WORLD = "make the world"

WATCHED: list[tuple[Any, str, str]] = [
    (MemoryStore, "put_users", "store users"),
    (MemoryStore, "put_items", "store items"),
    (Archive, "append", "append to the archive"),
    (Archive, "read", "read the archive"),
    (Archive, "replace", "compact the archive"),
    (log_archiver, "consume", "read the log"),
    (base_version, "model_from_arrays", "model from arrays"),
    (learning_steps, "train_full", "train: rest"),
    (learning_steps, "train_increment", "train: rest"),
    (full, "global_time_split", "hold out"),
    (full, "frame_of", "matrix of interactions"),
    (incremental, "frame_of", "matrix of interactions"),
    (incremental, "sampled", "replay"),
    (incremental, "pairs_of", "replay"),
    (FeatureSpace, "extended", "features"),
    (FeatureSpace, "encode_many", "features"),
    (SparseFrame, "__init__", "matrix of interactions"),
    (LFMRecommender, "fit_partial", "fit, without its epochs"),
    (LFMRecommender, "_run_epoch", "epochs"),
    (full, "histories", "histories"),
    (incremental, "extended", "histories"),
    (full, "build_snapshot", "snapshot"),
    (incremental, "build_snapshot", "snapshot"),
    (full, "learn_choices", "tune"),
    (full, "with_folded_histories", "tune"),
    (full, "hold_out_for_stopping", "hold out"),
    (EarlyStopping, "count_epoch", "look at held-out pairs"),
    (full, "fit_history_parts", "item-item and low-pass"),
    (incremental, "refitted", "item-item and low-pass"),
    (full, "to_serving", "lay out"),
    (incremental, "to_serving", "lay out"),
    (full, "indexed", "index"),
    (incremental, "indexed", "index"),
    (full, "count_interactions", "count interactions"),
    (full, "compare", "compare"),
    (full, "evaluate_snapshot", "evaluate"),
    (incremental, "evaluate_snapshot", "evaluate"),
    (incremental, "compare", "compare"),
    (Registry, "publish", "publish"),
    (Registry, "load", "load and verify"),
]
"""Where, under which name, and as part of which stage."""


class Stages:
    """Seconds, processor seconds and peak resident memory by stage; one inside another is not counted twice."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.peaks: dict[str, int] = {}
        self._open: list[str] = []
        self._since = time.perf_counter(), time.process_time()

    def enter(self, stage: str) -> None:
        """Begin a stage; the one around it waits."""
        self._account()
        self._open.append(stage)

    def leave(self) -> None:
        """End the innermost stage."""
        self._account()
        self._open.pop()

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Count every call of ``owner.name``."""
        called = getattr(owner, name)
        setattr(owner, name, self._waiting(called, stage) if _is_async(called) else self._calling(called, stage))

    def taken(self) -> dict[str, dict[str, float]]:
        """What was counted since the last time: seconds, and GiB at the peak."""
        self._account()
        rows = {
            stage: {
                "seconds": round(seconds, 3),
                "cpu_s": round(self.cpu[stage], 3),
                "peak_gib": round(self.peaks[stage] / GIB, 2),
            }
            for stage, seconds in self.seconds.items()
            if seconds >= 0.001
        }
        self.seconds, self.cpu, self.peaks = {}, {}, {}
        return rows

    def _calling(self, called: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.enter(stage)
            try:
                return called(*args, **kwargs)
            finally:
                self.leave()

        return call

    def _waiting(self, called: Callable[..., Any], stage: str) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            self.enter(stage)
            try:
                return await called(*args, **kwargs)
            finally:
                self.leave()

        return call

    def _account(self) -> None:
        stage = self._open[-1] if self._open else "learner: rest"
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - self._since[0]
        self.cpu[stage] = self.cpu.get(stage, 0.0) + time.process_time() - self._since[1]
        self.peaks[stage] = max(self.peaks.get(stage, 0), _peak_bytes_since_last())
        self._since = time.perf_counter(), time.process_time()


def main() -> None:
    """Run every size, or the one that is asked for, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", metavar="SIZE", choices=SIZES, help="run one size here and print its JSON")
    parser.add_argument("--sizes", nargs="+", default=["300k", "1M", "3M"], choices=SIZES)
    parser.add_argument("--threads", nargs="+", type=int, default=[2, 1])
    parser.add_argument("--epochs", type=int, default=DEFAULTS.epochs, help="at most")
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(asyncio.run(run(asked.child, asked.threads[0], asked.epochs))))
        return
    for size in asked.sizes:
        for threads in asked.threads:
            row = _in_a_process(size, threads, asked.epochs)
            others = [each for each in _kept() if _what(each) != _what(row)]
            write("training", SEED, sorted([*others, row], key=_what))


def _kept() -> list[dict[str, Any]]:
    """Rows of earlier runs: all sizes together take longer than a shared machine is anybody's."""
    path = RESULTS / "training.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    return rows


def _what(row: dict[str, Any]) -> tuple[int, int, int]:
    return row["interactions"], row["threads"], row["epochs"]


async def run(size: str, threads: int, epochs: int) -> dict[str, Any]:
    """Bootstrap from a synthetic world, serve one answer, learn an increment from a process that begins anew."""
    stages = Stages()
    for owner, name, stage in WATCHED:
        stages.watch(owner, name, stage)
    n_users, n_items = SIZES[size]
    stages.enter(WORLD)
    dataset = synthetic.make(
        "taste_groups", n_users, n_items, EACH, max(2, n_items // ITEMS_A_GROUP), noise=0.1, seed=SEED
    )
    stages.leave()
    n_interactions = len(dataset.interactions)
    with tempfile.TemporaryDirectory() as folder:
        registry, archive, store = Registry(Path(folder) / "models"), Archive(Path(folder) / "archive"), MemoryStore()
        arguments = (registry, archive, store, ModelSettings(epochs=epochs, num_threads=threads))
        increment = IncrementSettings(num_threads=threads)
        learned = await TrainingPipeline(*arguments, increment=increment).bootstrap(dataset)
        assert learned.accepted, learned.reason
        del dataset
        trained = stages.taken()
        about = registry.versions()[0].meta
        served = _serve(stages, registry, learned.version)
        await store.append(_events(n_users, n_items))
        stages.taken()
        learned = await TrainingPipeline(*arguments, increment=increment).learn("incremental")
        incremented = stages.taken()
        bytes_on_disk = registry.versions()[0].bytes
    return {
        "size": size,
        "interactions": n_interactions,
        "users": n_users,
        "items": n_items,
        "threads": threads,
        "epochs": epochs,
        "stopped_after": about.stopped_after,
        "lightfm_pays": None if about.history_choices is None else about.history_choices["lightfm_pays"],
        "metrics": about.metrics,
        **_summary(trained),
        "artifact_mib": round(bytes_on_disk / 2**20),
        "archive_mib": round(sum(segment.bytes for segment in about.segments) / 2**20),
        "full": trained,
        "serve": served,
        "increment_cpu_s": round(sum(each["cpu_s"] for each in incremented.values()), 2),
        "increment_s": round(sum(each["seconds"] for each in incremented.values()), 2),
        "increment": incremented,
    }


def _serve(stages: Stages, registry: Registry, version: str) -> dict[str, dict[str, float]]:
    artifact = registry.load(version)
    stages.enter("catalogue and recommender")
    snapshot = Snapshot.from_arrays(artifact.parts["snapshot"], {**artifact.meta.snapshot, "version": version})
    recommender = Recommender(Catalogue(snapshot))
    stages.leave()
    for stage in ("first answer", "second answer"):
        stages.enter(stage)
        answer = recommender.recommend_many([Query(user_id="u1", k=10)], [UserState(None)])
        stages.leave()
        assert len(answer) == 1
    return stages.taken()


def _events(n_users: int, n_items: int) -> list[Interaction]:
    """New interactions of known users, and of one new user in ten."""
    chance = np.random.default_rng(SEED + 1)
    users, items = chance.integers(0, n_users * 10 // 9, N_EVENTS), chance.integers(0, n_items, N_EVENTS)
    start = synthetic.START_S + n_users * EACH
    pairs = zip(users.tolist(), items.tolist(), strict=True)
    return [
        Interaction(f"u{user}", f"i{item}", weight=1.0, timestamp=start + number)
        for number, (user, item) in enumerate(pairs)
    ]


def _summary(trained: dict[str, dict[str, float]]) -> dict[str, float]:
    stages = [each for stage, each in trained.items() if stage != WORLD]
    return {
        "full_s": round(sum(each["seconds"] for each in stages), 1),
        "full_cpu_s": round(sum(each["cpu_s"] for each in stages), 1),
        "epochs_s": round(trained.get("epochs", {"seconds": 0.0})["seconds"], 1),
        "peak_gib": max(each["peak_gib"] for each in stages),
    }


def _in_a_process(size: str, threads: int, epochs: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.learning.training_scale", "--child", size]
    command += ["--threads", str(threads), "--epochs", str(epochs)]
    # as ``make serve`` sets it: threads of BLAS that wait for each other take processors from LightFM's
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def _is_async(called: Any) -> bool:
    return asyncio.iscoroutinefunction(called)


def _peak_bytes_since_last() -> int:
    """Most memory that was resident since this was asked last."""
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark back to what is resident now
    return int(peak.split()[1]) * 1024


if __name__ == "__main__":
    main()
