"""What filters, explanations, diversity and leaderboards cost, against the same recommendation without.

Twice: from the bytes that a predictor gets to the bytes that it gives, and through the running service over one
keep-alive connection. All ways take turns in one run, so that a busy machine hurts all alike; the medians are compared.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np

from benchmarks.harness import http_load, report
from benchmarks.harness.fake_versions import put_versions, snapshot_of
from benchmarks.harness.service_process import PORT, Service
from benchmarks.search.seed_path import N_TAGS
from benchmarks.service.publish_latency import QUIET
from deployments.messages import answer, pack, unpack_queries
from recommender.ids import IdTable
from recommender.schema import Query, UserState
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.filters import FilterCache
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Rows, Snapshot
from recommender.serving.trends.interaction_counts import InteractionCounts
from recommender.serving.trends.leaderboards import Leaderboards
from recommender.serving.trends.log_tail import LogTail

SEED, N_ITEMS, ROUNDS, FRESH, USER = 0, 100_000, 200, 100, "7"
N_ACTIVITY, DAYS = 1_000_000, 365
CONNECTIONS, SECONDS = 16, 3.0
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "filter: one tag of 500": {"filter": ("tag:7",)},
    "filter: half of the items": {"filter": tuple(f"tag:{tag}" for tag in range(65))},
    "filter: not one tag": {"filter": ("-tag:7",)},
    "explain": {"explain": True},
    "diversity 0.3": {"diversity": 0.3},
    "all three": {"filter": ("-tag:7",), "explain": True, "diversity": 0.3},
}
NEW_FILTER = "filter: never asked before"
MOST = {"filter": 1.5, "explain": 2.0, "diversity": 2.0}
"""How many times the plain recommendation each may take."""


def snapshot() -> Snapshot:
    """Random weights, users with histories that count, tags to filter by, and a year of activity."""
    bare = snapshot_of(N_ITEMS)
    by_tag = bare.item_rows
    order = np.argsort(by_tag.indices, kind="stable")
    items = np.repeat(np.arange(N_ITEMS, dtype=np.int32), np.diff(by_tag.indptr))[order]
    ends = np.concatenate([[0], np.cumsum(np.bincount(by_tag.indices, minlength=N_TAGS))])
    chance = np.random.default_rng(SEED)
    times = np.sort(time.time() - chance.random(N_ACTIVITY) * DAYS * 86_400).astype(np.uint32)
    taken = (N_ITEMS * chance.random(N_ACTIVITY) ** 3).astype(np.int32)  # few items have most
    fold_in = chance.normal(0, 0.1, bare.fold_in_weights.shape).astype(np.float32)
    return replace(
        bare,
        fold_in_weights=fold_in,
        filter_tokens=IdTable.from_ids(f"tag:{tag}" for tag in range(N_TAGS)),
        filter_rows=Rows(ends.astype(np.int64), items, np.zeros(0, np.float32)),
        activity=InteractionCounts(times, taken, np.ones(N_ACTIVITY, np.uint32)),
    )


def together_ms(calls: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median time of each, one after the other in every round."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(each) * 1e3 for name, each in times.items()}


def recommender_of(served: Snapshot) -> Recommender:
    """Recommender with some items put since the snapshot."""
    catalogue = Catalogue(served)
    catalogue.apply([ItemChange(f"new{number}", {"tag": str(number % N_TAGS)}) for number in range(FRESH)], FRESH)
    return Recommender(catalogue)


def by_library(served: Snapshot, k: int) -> list[dict[str, Any]]:
    """Every way as a predictor runs it."""
    recommender, forgetful = recommender_of(served), recommender_of(served)
    state = [UserState({f"f{index}": "1" for index in range(4)})]
    leaderboards = Leaderboards(recommender, LogTail(0))

    def call(query: Query, asked: Recommender = recommender) -> Callable[[], object]:
        message = pack([query])
        return lambda: [answer(each) for each in asked.recommend_many(unpack_queries(message), state)]

    def never_asked() -> object:
        forgetful.catalogue.filters = FilterCache(served)
        return first()

    first = call(Query(user_id=USER, k=k, filter=("-tag:7",)), forgetful)
    calls = {name: call(Query(user_id=USER, k=k, **way)) for name, way in WAYS.items()}
    calls |= {
        NEW_FILTER: never_asked,
        "similar items": lambda: answer(recommender.similar_items(USER, k)),  # type: ignore[arg-type]
        "popular of a day": lambda: answer(leaderboards.top("popular", 86_400, k)),
        "trending of a day": lambda: answer(leaderboards.top("trending", 86_400, k)),
    }
    return rows("library", k, together_ms(calls))


def by_service(client: httpx.Client, k: int) -> list[dict[str, Any]]:
    """Every way over HTTP, one request after the other."""
    paths = {name: path(k, way) for name, way in WAYS.items()}
    paths |= {f"{name} of a day": f"/v1/{name}?window_s=86400&k={k}" for name in ("popular", "trending")}
    paths |= {"similar items": f"/v1/items/{USER}/similar?k={k}"}
    for each in paths.values():
        body = client.get(each).raise_for_status().json()
        assert len(body["items"]) == k, (each, body)

    def call(target: str) -> Callable[[], object]:
        return lambda: client.get(target).read()

    return rows("service", k, together_ms({name: call(target) for name, target in paths.items()}))


def by_load(k: int) -> list[dict[str, Any]]:
    """Medians of every way at several connections, where requests for the same share a pass."""
    found = {
        name: http_load.measure(PORT, lambda turn, way=way: path(k, way, str(turn % 10_000)), CONNECTIONS, SECONDS)
        for name, way in WAYS.items()
    }
    assert not any(each.failed for each in found.values())
    return rows(f"service, {CONNECTIONS} connections", k, {name: each.p50_ms for name, each in found.items()})


def path(k: int, way: dict[str, Any], user: str = USER) -> str:
    """Request for one way."""
    asked = {"k": k, **{name: str(value).lower() if value is True else value for name, value in way.items()}}
    return f"/v1/users/{user}/recommendations?{urlencode(asked, doseq=True)}"


def rows(where: str, k: int, found: dict[str, float]) -> list[dict[str, Any]]:
    """Times with their ratio to the plain one."""
    return [
        {
            "where": where,
            "k": k,
            "way": name,
            "ms": round(ms, 3),
            "ratio": round(ms / found["plain"], 2),
            **({"at_most": most} if (most := MOST.get(name.partition(":")[0].split()[0])) else {}),
        }
        for name, ms in found.items()
    ]


def main() -> None:
    """Measure a short list and a long one."""
    served = snapshot()
    found = [*by_library(served, 10), *by_library(served, 100)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        put_versions(folder / "state", N_ITEMS, 1, served)
        with Service(folder, QUIET), httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=30) as client:
            http_load.measure(PORT, lambda turn: path(10, {}, str(turn % 10_000)), CONNECTIONS, SECONDS)
            found += [*by_service(client, 10), *by_service(client, 100), *by_load(10)]
    report.write("extras", SEED, found)


if __name__ == "__main__":
    main()
