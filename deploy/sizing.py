"""How many replicas, how much memory and how much Redis some load needs.

    python deploy/sizing.py --users 1e6 --items 1e5 --requests-per-s 500 --interactions 5e7 --interactions-per-day 2e6

Every constant is read from what our benchmarks measured (benchmarks/results), two cores of an AMD EPYC; run
`python -m benchmarks.service.sizing` to have those of your machine. docs/many-machines.md has the formulas in words.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import mean
from typing import Any

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
MIB = 2**20
DAY_S = 86_400
BUSY = 0.6
"""Share of a core, and of a replica, that is planned for; the rest is for bursts and for what runs beside."""
FEWEST = 2
"""Replicas of each part on the request path: one alone is seconds away from coming back."""
MEASURED_WIDTH = 64
"""Of the vectors in the benchmark."""
EVENT_ID_DAYS = 14
"""A repeated event_id is recognised for one to two weeks, and takes room for so long."""


def rows_of(benchmark: str) -> list[dict[str, Any]]:
    """What a benchmark wrote."""
    rows: list[dict[str, Any]] = json.loads((RESULTS / f"{benchmark}.json").read_text())["rows"]
    return rows


SERVICE = sorted((row for row in rows_of("sizing") if "items" in row), key=lambda row: row["items"])
SMALL, LARGE = SERVICE[0], SERVICE[-1]
"""Catalogues that the constants come from; those between are only predicted, see tests/deploy/test_sizing.py."""
(STORE,) = (row for row in rows_of("sizing") if "store" in row)
SHARED = [row for row in rows_of("broadcast") if "private_mib_each" in row]
TRAININGS = {row["size"]: row for row in rows_of("training")}


@dataclass(frozen=True)
class Need:
    """What is to be served."""

    users: float = 100_000
    items: float = 10_000
    requests_per_s: float = 100
    """Recommendations at the busiest time."""
    interactions: float = 10_000_000
    """Learned so far."""
    interactions_per_day: float = 100_000
    features: float = 5
    """Of an item or a user."""
    width: float = 129
    """`model.no_components` + low-pass components + 1; 193 where 128 of these pay."""
    item_item: float = 100
    """Weights of an item's column of the item-item matrix, at most; fewer where fewer are enough."""
    cores_a_node: float = 8


@dataclass(frozen=True)
class Size:
    """What it takes."""

    cores: float
    nodes: int
    ingress: int
    fetchers: int
    predictors: int
    snapshot_mib: float
    object_store_mib: float
    """Of each node: two versions side by side, and one for luck."""
    memory_mib_a_node: float
    trainer_mib: float
    """At the height of a full training, on one of the nodes."""
    redis_mib: float


def size(need: Need) -> Size:
    """Everything."""
    cores = cores_for(need.items, need.requests_per_s, need.width) / BUSY
    nodes = max(1, math.ceil(cores / need.cores_a_node))
    predictors = replicas(need.requests_per_s, predictor_ms(need.items, need.width))
    ingress, fetchers = (replicas(need.requests_per_s, request_ms(part)) for part in ("ingress", "fetcher"))
    snapshot = snapshot_mib(need)
    return Size(
        cores=cores,
        nodes=nodes,
        ingress=ingress,
        fetchers=fetchers,
        predictors=predictors,
        snapshot_mib=snapshot,
        object_store_mib=3 * snapshot,
        memory_mib_a_node=snapshot  # the next version, while replicas swap
        + memory_mib(snapshot, math.ceil(ingress / nodes), math.ceil(fetchers / nodes), math.ceil(predictors / nodes)),
        trainer_mib=trainer_mib(need.interactions),
        redis_mib=redis_mib(need),
    )


# Processor time.


def cores_for(items: float, requests_per_s: float, width: float = MEASURED_WIDTH) -> float:
    """Cores that are busy at some load."""
    parts = sum(request_ms(part) for part in ("ingress", "fetcher", "proxy", "store"))
    return idle_cores() + requests_per_s * (parts + predictor_ms(items, width)) / 1e3


def capacity(items: float, cores: float, client_ms: float = 0.0) -> float:
    """Requests a second that so many cores answer, when a client on the same cores takes its part of each."""
    alone = cores_for(items, 1.0) - idle_cores()
    return (cores - idle_cores()) / (alone + client_ms / 1e3)


def request_ms(part: str) -> float:
    """Processor time of one part for a request; it does not depend on the catalogue."""
    return mean(row["processor_ms_by_part"][part] for row in (SMALL, LARGE))


def predictor_ms(items: float, width: float = MEASURED_WIDTH) -> float:
    """Processor time of the predictor: a part for the request, and the exact pass over all items."""
    small, large = (row["processor_ms_by_part"]["predictor"] for row in (SMALL, LARGE))
    an_item = (large - small) / (LARGE["items"] - SMALL["items"])
    return float(small - an_item * SMALL["items"] + an_item * items * width / MEASURED_WIDTH)


def idle_cores() -> float:
    """What Ray takes beside requests."""
    own = ("ray", "trainer", "model_store")
    return mean(sum(row["processor_ms_by_part"][part] for part in own) * row["rps"] / 1e3 for row in (SMALL, LARGE))


def replicas(requests_per_s: float, milliseconds: float) -> int:
    """Processes of which none is busier than planned."""
    return max(FEWEST, math.ceil(requests_per_s * milliseconds / 1e3 / BUSY))


# Memory.


def snapshot_mib(need: Need) -> float:
    """Arrays of a snapshot, as `recommender.serving.snapshot` lays them out; ids and titles of ten and twenty bytes."""
    an_id = 8 + 8 + 4 + 10  # offset, hash, order, text
    a_vector = 4 * need.width + 4  # with its bias
    codes = need.width + 8
    of_matrix = 8 * need.item_item + 12  # index and weight; begin of the row, low-pass scale
    an_item = an_id + a_vector + codes + of_matrix + 8 + 20 + 5 + 8 + 12 * need.features  # title; rest
    a_user = an_id + a_vector + 8 + 8 + 8 * need.features  # begin of the history, of the features
    return (need.items * an_item + need.users * a_user + need.interactions * 4) / MIB


def memory_mib(snapshot: float, ingress: int = 2, fetchers: int = 2, predictors: int = 2) -> float:
    """Of a node that has everything: Ray, each process, and the snapshot once."""
    parts = SMALL["pss_mib_by_part"]
    own = sum(parts[part] for part in ("ray", "proxy", "store", "model_store", "trainer"))
    each = ingress * parts["ingress"] / 2 + fetchers * parts["fetcher"] / 2 + predictors * parts["predictor"] / 2
    return float(own + each + snapshot + predictors * grown_mib(snapshot))


def grown_mib(snapshot: float) -> float:
    """What each predictor has for itself because of a snapshot: masks, headings, what it has looked up."""
    return (
        mean(
            (row["private_mib_each"] - row["a_process_without_snapshot_mib"]) / (row["snapshot_mb"] * 1e6 / MIB)
            for row in SHARED
        )
        * snapshot
    )


def trainer_mib(interactions: float) -> float:
    """At the height of a full training."""
    small, large = TRAININGS["1M"], TRAININGS["10M"]
    an_interaction = (large["peak_gib"] - small["peak_gib"]) / (large["interactions"] - small["interactions"])
    return float(small["peak_gib"] + an_interaction * (interactions - small["interactions"])) * 1024


# Redis.


def redis_mib(need: Need, waiting_days: float = 1.0) -> float:
    """Users, items, the interactions that the kept versions have not all learned, and event ids."""
    event_id = STORE["bytes_of_a_interaction_with_event_id"] - STORE["bytes_of_a_interaction"]
    content = (
        need.users * STORE["bytes_of_a_user"]
        + need.items * STORE["bytes_of_a_item"]
        + need.interactions_per_day * (waiting_days * STORE["bytes_of_a_interaction"] + EVENT_ID_DAYS * event_id)
    )
    return float(STORE["empty_mib"] + content / MIB)


def main() -> None:
    """Print what a load needs."""
    parser = argparse.ArgumentParser(description="How many replicas, how much memory and how much Redis a load needs.")
    for field in fields(Need):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=float, default=field.default)
    found = size(Need(**vars(parser.parse_args())))
    for name, value in vars(found).items():
        shown = f"{value:,.1f}" if isinstance(value, float) else str(value)
        sys.stdout.write(f"{name.replace('_', ' '):<20}{shown:>12}\n")


if __name__ == "__main__":
    main()
