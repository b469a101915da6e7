"""Batch: what the lists of a user cost there and over HTTP, and how many a second at a large catalogue.

The HTTP path and the batch rank for the same users of the same version on the same cores, one after the other. The
large catalogue is that of a small trained one, resampled with noise; its users likewise. Times of the batch are from
its first round of blocks to its last block, without the start of Ray, which is told beside.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import http_load, report
from benchmarks.harness.service_process import PORT, Service
from deployments.jobs import batch
from recommender.datasets import open_dataset
from recommender.ids import IdTable, TextTable
from recommender.serving.snapshot import Rows, Snapshot, Table
from recommender.storage.registry import Artifact, Registry, VersionMeta
from recommender.training.from_dataset import training_data
from recommender.training.full import fit
from recommender.training.model_settings import ModelSettings

SEED = 0
SMALL = "synthetic?n_users=20000&n_items=10000"
MODEL = {"epochs": 1}
CONNECTIONS, SECONDS = 64, 15.0
K, BLOCK = 10, 2_500
LARGE_ITEMS, LARGE_USERS, SEEN = 100_000, (25_000, 100_000), 30


def users_per_s(version: str, artifact: Artifact, n_users: int, folder: Path) -> dict[str, float]:
    """Speed of a batch, and how long until its first block."""
    plan = batch.BatchPlan(folder, K, True, (), BLOCK, n_users, (), None)
    begin = start = time.perf_counter()
    first, done = None, 0
    for number, users in enumerate(batch.run(version, artifact, plan, None)):
        first = first or time.perf_counter()
        if number < (os.cpu_count() or 1):
            start = time.perf_counter()  # the first round of all workers has ended: what is half done counts for nobody
        else:
            done += users
    assert first is not None
    return {"users_per_s": done / (time.perf_counter() - start), "first_block_s": first - begin}


def against_http() -> list[dict[str, Any]]:
    """The same users over HTTP and in a batch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        args = {"dataset": SMALL, "model": MODEL, "training": {"holdout": 0}}
        with Service(folder, args):
            path = lambda turn: f"/v1/users/u{turn * 7919 % 20_000}/recommendations"  # noqa: E731
            http_load.measure(PORT, path, CONNECTIONS, 5)
            http = http_load.measure(PORT, path, CONNECTIONS, SECONDS)
        assert not http.failed
        found = Registry(folder / "state" / "models").load_current()
        assert found is not None
        ours = users_per_s(*found, 20_000, folder)
    row = {
        "n_items": 10_000,
        "http_us_a_user": round(1e6 / http.requests_per_s),
        "batch_us_a_user": round(1e6 / ours["users_per_s"]),
        "ratio": round(ours["users_per_s"] / http.requests_per_s, 1),
        "first_block_s": round(ours["first_block_s"], 1),
    }
    return [row]


def enlarged(n_users: int) -> Artifact:
    """A version of 100,000 items and so many users, of the vectors of a trained one."""
    data = training_data(open_dataset("synthetic?n_users=2000&n_items=2000"))
    _, snapshot = fit(data, ModelSettings(epochs=3), {"log_offset": 0, "items_sequence": 0})
    assert snapshot is not None
    chance = np.random.default_rng(SEED)

    def drawn(table: Table, n: int) -> Table:
        rows = chance.integers(0, len(table.biases), n)
        noise = table.vectors.std(axis=0) * chance.standard_normal((n, table.vectors.shape[1]), np.float32)
        return Table((table.vectors[rows] + noise).astype(np.float32), table.biases[rows])

    def nothing(n: int) -> Rows:
        return Rows(np.zeros(n + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))

    items, users = drawn(snapshot.items, LARGE_ITEMS), drawn(snapshot.user_indicators, n_users)
    seen = np.sort(chance.integers(0, LARGE_ITEMS, (n_users, SEEN)).astype(np.int32), axis=1).ravel()
    large: Snapshot = replace(
        snapshot,
        user_ids=IdTable.from_ids(f"u{n}" for n in range(n_users)),
        user_indicators=users,
        user_rows=nothing(n_users),
        item_ids=IdTable.from_ids(f"i{n}" for n in range(LARGE_ITEMS)),
        n_known_items=LARGE_ITEMS,
        n_trained_items=LARGE_ITEMS,
        available=np.ones(LARGE_ITEMS, np.bool_),
        titles=TextTable.from_texts([""] * LARGE_ITEMS),
        item_rows=nothing(LARGE_ITEMS),
        items=items,
        popularity=np.ones(LARGE_ITEMS, np.float32),
        seen=Rows(np.arange(0, len(seen) + 1, SEEN), seen, np.zeros(0, np.float32)),
        disliked=nothing(n_users),
        filter_rows=nothing(len(snapshot.filter_tokens)),
    )
    return Artifact({"snapshot": large.to_arrays()}, VersionMeta(snapshot=large.to_meta()))


def large(n_users: int) -> dict[str, Any]:
    """A batch at the large catalogue, exactly."""
    with tempfile.TemporaryDirectory() as folder:
        ours = users_per_s("large", enlarged(n_users), n_users, Path(folder))
    return {
        "n_items": LARGE_ITEMS,
        "n_users": n_users,
        "users_per_s": round(ours["users_per_s"]),
        "first_block_s": round(ours["first_block_s"], 1),
        "a_million_users_minutes": round(1e6 / ours["users_per_s"] / 60, 1),
    }


def main() -> None:
    """Against HTTP, then large, twice, so that it shows whether time grows with the users alone."""
    rows = [] if "large" in sys.argv else against_http()
    rows += [large(n_users) for n_users in LARGE_USERS]
    report.write("batch", SEED, rows)


if __name__ == "__main__":
    main()
