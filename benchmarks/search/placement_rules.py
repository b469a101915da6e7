"""What rules cost an answer: top 10 of a catalogue with brands and genres, without rules and with them, turn by turn.

Ten genres of which two are rare, and a thousand brands, drawn as often as they are popular. Users have chosen 200
items, and the item-item matrix serves.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from benchmarks.harness import report
from benchmarks.search.history_parts import least_ms, recommender_of, with_histories, with_parts
from benchmarks.search.seed_path import World
from recommender.ids import IdTable
from recommender.schema import Query, Rule, UserState
from recommender.serving.snapshot import Rows, Snapshot

SEED, SIZES, N_BRANDS, BATCH = 0, (10_000, 100_000), 1_000, 32
GENRES = (0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05, 0.03, 0.015, 0.005)
PIN = Rule(pin="77", position=3)
LIMIT = Rule(limit="brand", at_most=2, within=10)
RULES = {
    "none": (),
    "pin": (PIN,),
    "promote a genre of 10 %": (Rule(promote="genre:4", share=0.2),),
    "promote a genre of 0.5 %": (Rule(promote="genre:9", share=0.2),),
    "limit": (LIMIT,),
    "bury a genre of 25 %": (Rule(bury="genre:0"),),
    "all of them": (PIN, LIMIT, Rule(promote="genre:4", share=0.2), Rule(bury="genre:0")),
}


def with_features(bare: Snapshot, chance: np.random.Generator) -> Snapshot:
    """The same with a genre and a brand for every item."""
    n = bare.n_items
    genres = chance.choice(len(GENRES), n, p=GENRES)
    brands = (N_BRANDS * chance.random(n) ** 2).astype(np.int64)
    tokens = [*(f"genre:{each}" for each in range(len(GENRES))), *(f"brand:{each}" for each in range(N_BRANDS))]
    columns = np.concatenate([genres, brands + len(GENRES)])
    order = np.argsort(columns, kind="stable")
    indptr = np.append(0, np.cumsum(np.bincount(columns, minlength=len(tokens)))).astype(np.int64)
    rows = np.tile(np.arange(n, dtype=np.int32), 2)[order]
    return replace(
        bare, filter_tokens=IdTable.from_ids(tokens), filter_rows=Rows(indptr, rows, np.zeros(0, np.float32))
    )


def measure(n_items: int) -> list[dict[str, object]]:
    """Answers of one user and of a batch, with each set of rules."""
    chance = np.random.default_rng(SEED)
    bare = with_parts(with_histories(World(n_items).recommender().snapshot, chance), chance, None, 0)
    made = recommender_of(with_features(bare, chance))
    states = [UserState({f"f{index}": "1" for index in range(4)})] * BATCH

    def calls(n_users: int) -> dict[str, float]:
        queries = {
            name: [Query(user_id=str(user), rules=rules) for user in range(n_users)] for name, rules in RULES.items()
        }
        return least_ms(
            {
                name: lambda own=own: made.recommend_many(own, states[:n_users])  # type: ignore[misc]
                for name, own in queries.items()
            }
        )

    alone, together = calls(1), calls(BATCH)
    return [
        {
            "items": n_items,
            "rules": name,
            "ms": round(alone[name], 3),
            "times": round(alone[name] / alone["none"], 2),
            "ms_of_a_batch": round(together[name] / BATCH, 3),
            "times_of_a_batch": round(together[name] / together["none"], 2),
        }
        for name in RULES
    ]


def main() -> None:
    """Sizes of catalogues may be given."""
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    report.write("placement_rules", SEED, [row for size in sizes for row in measure(size)])


if __name__ == "__main__":
    main()
