"""Snapshots with an item-item matrix and low-pass components, and their scores by a second implementation."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recommender.serving.history_weights import HistoryWeights
from recommender.serving.snapshot import Rows, Snapshot, Table

N_LOW_PASS = 3


def wider(table: Table, columns: np.ndarray | None = None) -> Table:
    more = np.zeros((len(table.vectors), N_LOW_PASS), np.float32)
    if columns is not None:
        more[: len(columns)] = columns
    return Table(np.hstack([table.vectors, more]), table.biases)


def with_history_parts(plain: Snapshot, seed: int = 0, half_life: float | None = 2.0, share: float = 0.4) -> Snapshot:
    """The same with a random matrix, whose few distinct weights make equal scores, and random components."""
    chance, n = np.random.default_rng(seed), plain.n_known_items
    weights = np.float32([-2, -0.5, 0.5, 1, 1])
    columns = [np.flatnonzero(chance.random(n) < share) for _ in range(n)]
    indptr = np.append(0, np.cumsum([len(own) for own in columns])).astype(np.int64)
    indices = np.concatenate([*columns, []]).astype(np.int32)
    matrix = Rows(indptr, indices, weights[chance.integers(0, len(weights), len(indices))])
    items = wider(plain.items, chance.standard_normal((n, N_LOW_PASS)).astype(np.float32))
    return replace(
        plain,
        user_features=wider(plain.user_features),
        user_indicators=wider(plain.user_indicators),
        item_features=wider(plain.item_features),
        newcomer_features=wider(plain.newcomer_features),
        items=items,
        item_item=matrix,
        low_pass_scale=chance.uniform(0.1, 1, n).astype(np.float32),
        history=HistoryWeights(half_life, [1, 3], [1.0, 1.5], [0.5, 0.25], N_LOW_PASS),
    )


def history_by_hand(liked: Sequence[str], recent: Sequence[str], disliked: set[str], known: Sequence[str]) -> list[str]:
    """Items of a history, the newest first and each once."""
    found: list[str] = []
    for item_id in reversed([*(each for each in liked if each not in disliked), *recent]):
        if item_id in known and item_id not in found:
            found.append(item_id)
    return found


def part_by_hand(snapshot: Snapshot, history: Sequence[str], item_id: str) -> float:
    """What item-item matrix and low-pass filter add to the score of an item; the history's newest is first."""
    i = snapshot.item_ids.index_of(item_id)
    if not 0 <= i < snapshot.n_known_items:
        return 0.0
    bucket = 0 if len(history) < 3 else 1
    total = 0.0
    for rank, other in enumerate(history):
        j = snapshot.item_ids.index_of(other)
        recency = 1.0 if snapshot.history.half_life is None else 0.5 ** (rank / snapshot.history.half_life)
        entry = dict(zip(snapshot.item_item.row(j).tolist(), snapshot.item_item.row_weights(j).tolist(), strict=True))
        alike = float(snapshot.items.vectors[j, -N_LOW_PASS:] @ snapshot.items.vectors[i, -N_LOW_PASS:])
        total += snapshot.history.item_item[bucket] * recency * entry.get(i, 0.0)
        total += snapshot.history.low_pass[bucket] * recency * float(snapshot.low_pass_scale[j]) * alike
    return total
