"""Versions of any size, put on disk for a service that shall serve and not train."""

from __future__ import annotations

from pathlib import Path

from benchmarks.scoring import World
from recommender.registry import Artifact, Registry
from recommender.snapshot import Snapshot

BYTES_AN_ITEM = 340
"""Of a snapshot of `World`: 64 float32, a bias, five tags, id and title."""


def snapshot_of(n_items: int) -> Snapshot:
    """Snapshot of random weights: 10,000 users, items with five tags each."""
    return World(n_items).recommender().snapshot


def put_versions(state: Path, n_items: int, n_versions: int) -> list[str]:
    """Publish equal versions into the registry of a state folder; their names, oldest first.

    They have no training state: nothing can go on from them.
    """
    snapshot = snapshot_of(n_items)
    meta = {
        "log_offset": 0,
        "items_sequence": 0,
        "segments": [],
        "mode": "full",
        "trained_on": {"interactions": 0, "users": 0, "items": n_items},
        "metrics": {},
        "newest_timestamp": 0.0,
        "snapshot": snapshot.to_meta(),
    }
    registry = Registry(state / "models")
    artifact = Artifact({"snapshot": snapshot.to_arrays()}, meta)
    return [registry.publish(artifact, parent=None, status="ready") for _ in range(n_versions)]


def snapshot_mb(state: Path) -> float:
    """Size of the newest version's snapshot on disk, in 10^6 bytes."""
    newest = max((state / "models").glob("0*"))
    return (newest / "snapshot.safetensors").stat().st_size / 1e6
