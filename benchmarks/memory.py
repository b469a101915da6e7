"""Memory of four predictor replicas against one, with a snapshot of some weight."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import load, report
from benchmarks.service import PORT, Service

N_ITEMS = 400_000
DATASET = f"synthetic?n_users=2000&n_items={N_ITEMS}&n_interactions_per_user=50"
MODEL = {"epochs": 1, "no_components": 64}


def predictors() -> list[dict[str, int]]:
    """KiB of each predictor: its proportional share, and what it has alone."""
    found: list[dict[str, int]] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"ServeReplica:recommender:Predictor" not in (process / "cmdline").read_bytes():
                continue
            lines = (process / "smaps_rollup").read_text().splitlines()[1:]
        except OSError:
            continue
        found.append({line.split(":")[0]: int(line.split()[1]) for line in lines})
    return found


def measure(replicas: int) -> dict[str, object]:
    """A service with that many predictors, after each has answered."""
    args = {"dataset": DATASET, "model": MODEL, "training": {"holdout": 0}}
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), args, {"Predictor": replicas}):
        load.measure(PORT, lambda turn: f"/v1/users/u{turn % 2000}/recommendations", 16, 5)
        found = predictors()
        (version,) = (Path(folder) / "state" / "models").glob("0*")
        snapshot = (version / "snapshot.safetensors").stat().st_size
    assert len(found) == replicas, f"{len(found)} predictors instead of {replicas}"
    return {
        "replicas": replicas,
        "snapshot_mib": snapshot >> 20,
        "pss_mib": sum(each["Pss"] for each in found) >> 10,
        "private_mib_each": sum(each["Private_Dirty"] + each["Private_Clean"] for each in found) // replicas >> 10,
    }


def main() -> None:
    """One, then four."""
    rows = [measure(replicas) for replicas in (1, 4)]
    one, four = rows
    rows.append({"four_against_one": round(int(str(four["pss_mib"])) / int(str(one["pss_mib"])), 2)})
    report.write("memory", 0, rows)


if __name__ == "__main__":
    main()
