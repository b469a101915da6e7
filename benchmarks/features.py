"""What a filter, an explanation and diversity cost, against the same recommendation without."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks import report
from benchmarks.scoring import N_TAGS, World
from recommender.catalogue import Catalogue, ItemChange
from recommender.ids import IdTable
from recommender.queries import Query, UserState
from recommender.recommending import Recommender
from recommender.snapshot import Rows, Snapshot

SEED, N_ITEMS, ROUNDS, FRESH = 0, 100_000, 200, 100
WAYS = {
    "plain": {},
    "filter: one tag of 500": {"filter": ("tag:7",)},
    "filter: half of the items": {"filter": tuple(f"tag:{tag}" for tag in range(65))},
    "filter: not one tag": {"filter": ("-tag:7",)},
    "explain": {"explain": True},
    "diversity 0.3": {"diversity": 0.3},
    "all three": {"filter": ("-tag:7",), "explain": True, "diversity": 0.3},
}


def recommender() -> Recommender:
    """The world of `benchmarks.scoring` with its tags to filter by, and some items put since."""
    snapshot = World(N_ITEMS).recommender().snapshot
    by_tag = snapshot.item_rows
    order = np.argsort(by_tag.indices, kind="stable")
    items = np.repeat(np.arange(N_ITEMS, dtype=np.int32), np.diff(by_tag.indptr))[order]
    ends = np.concatenate([[0], np.cumsum(np.bincount(by_tag.indices, minlength=N_TAGS))])
    tokens = IdTable.from_ids(f"tag:{tag}" for tag in range(N_TAGS))
    postings = Rows(ends.astype(np.int64), items, np.zeros(0, np.float32))
    parts = {name: getattr(snapshot, name) for name in snapshot.__dataclass_fields__}
    catalogue = Catalogue(Snapshot(**{**parts, "filter_tokens": tokens, "filter_rows": postings}))
    catalogue.apply([ItemChange(f"new{number}", {"tag": str(number % N_TAGS)}) for number in range(FRESH)], FRESH)
    return Recommender(catalogue)


def together_ms(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median time of each, one after the other in every round, so that a busy machine hurts all alike."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(each) * 1e3 for name, each in times.items()}


def measure(k: int) -> list[dict[str, object]]:
    """Every way at one length of the list."""
    asked, state = recommender(), UserState({f"f{index}": "1" for index in range(4)})

    def call(query: Query) -> Callable[[], object]:
        return lambda: asked.recommend(query, state)

    found = together_ms({name: call(Query(user_id="7", k=k, **way)) for name, way in WAYS.items()})
    found["similar items"] = together_ms({"": lambda: asked.similar_items("7", k)})[""]
    return [
        {"k": k, "way": name, "ms": round(ms, 3), "ratio": round(ms / found["plain"], 2)} for name, ms in found.items()
    ]


def main() -> None:
    """Measure a short list and a long one."""
    report.write("features", SEED, [*measure(10), *measure(100)])


if __name__ == "__main__":
    main()
