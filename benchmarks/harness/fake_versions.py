"""Versions of any size, put on disk for a service that shall serve and not train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.search.seed_path import N_USERS, SEED, World
from recommender.serving.snapshot import Rows, Snapshot
from recommender.storage.registry import Artifact, Registry, VersionMeta

BYTES_AN_ITEM = 412
"""Of a snapshot of `World`: 64 float32 and their codes, a bias, five tags, id and title."""


SEEN_EACH = 50
"""Learned interactions of each user; whoever has none would count as a stranger."""


def snapshot_of(n_items: int) -> Snapshot:
    """Snapshot of random weights: 10,000 users with fifty items each, items with five tags each."""
    chance = np.random.default_rng(SEED)
    seen = np.sort(chance.integers(0, n_items, (N_USERS, SEEN_EACH), np.int32), axis=1)
    indptr = np.arange(N_USERS + 1, dtype=np.int64) * SEEN_EACH
    snapshot = World(n_items).recommender().snapshot
    return replace(snapshot, seen=Rows(indptr, seen.ravel(), np.zeros(0, np.float32)))


def put_versions(state: Path, n_items: int, n_versions: int, snapshot: Snapshot | None = None) -> list[str]:
    """Publish equal versions into the registry of a state folder, `snapshot_of` when absent; their names, oldest first.

    They have no training state: nothing can go on from them.
    """
    snapshot = snapshot or snapshot_of(n_items)
    trained_on = {"interactions": 0, "users": 0, "items": n_items}
    meta = VersionMeta(trained_on=trained_on, newest_timestamp=0.0, snapshot=snapshot.to_meta())
    registry = Registry(state / "models")
    artifact = Artifact({"snapshot": snapshot.to_arrays()}, meta)
    return [registry.publish(artifact, parent=None, status="ready") for _ in range(n_versions)]


def snapshot_mb(state: Path) -> float:
    """Size of the newest version's snapshot on disk, in 10^6 bytes."""
    newest = max((state / "models").glob("0*"))
    return (newest / "snapshot.safetensors").stat().st_size / 1e6
