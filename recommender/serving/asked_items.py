"""Asked items: those that a ranking names, scored together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.ids import UNKNOWN
from recommender.schema import FeatureMap
from recommender.serving.catalogue import Catalogue, ItemChange, PreparedChange
from recommender.serving.snapshot import UserVector

Asked = Sequence[tuple[str, FeatureMap | None]]
"""Item ids, and the features to take instead of those of the catalogue."""


class Scored(NamedTuple):
    """What is known of asked items, each list in their order."""

    scores: list[float]
    blocks: list[int]
    """Of the table of cases, 0 to 3."""
    allowed: list[bool]
    """False for one that is deleted or not available."""
    ignored: list[str]
    """Names and categories that the model has not learned."""


def scored(catalogue: Catalogue, user: UserVector, asked: Asked) -> Scored:
    """Score items for one user, by features given here or by what the catalogue has of them."""
    positions = catalogue.positions([item_id for item_id, _ in asked])
    given = (positions == UNKNOWN) | np.array([features is not None for _, features in asked], np.bool_)
    own = [each for each, alone in zip(asked, given.tolist(), strict=True) if alone]
    prepared = catalogue.prepare([ItemChange(item_id, features or {}) for item_id, features in own])
    old = positions[~given].tolist()
    blocks = np.empty(len(asked), np.int64)
    blocks[given] = [change.item.block for change in prepared]
    blocks[~given] = [block for _, _, block in catalogue.headings(old)]
    ignored = [catalogue.ignored(position) for position in old] + [change.item.features.ignored for change in prepared]
    return Scored(
        _scores(catalogue, user, positions, given, prepared).tolist(),
        blocks.tolist(),
        _allowed(catalogue, positions, asked),
        [name for own_ignored in ignored for name in own_ignored],
    )


def _scores(
    catalogue: Catalogue,
    user: UserVector,
    positions: NDArray[np.int64],
    given: NDArray[np.bool_],
    prepared: Sequence[PreparedChange],
) -> NDArray[np.float64]:
    old = positions[~given].tolist()
    scores = np.empty(len(positions), np.float64)
    if user.strategy == "popular":
        scores[given] = [change.popularity for change in prepared]
        scores[~given] = catalogue.popularity(old)
        return scores
    vectors = np.empty((len(positions), catalogue.snapshot.no_components), np.float32)
    vectors[~given] = catalogue.vectors(old)
    if prepared:
        vectors[given] = [change.vector for change in prepared]
    scores[given] = [change.bias for change in prepared]
    scores[~given] = catalogue.biases(old)
    # row by row, so that a score has the same bits alone and among others
    scores += np.vecdot(vectors, user.vector.astype(np.float32, copy=False))
    if len(user.history.rows):
        rows = np.empty(len(positions), np.int64)
        rows[~given], rows[given] = catalogue.snapshot_rows(old), [change.row for change in prepared]
        scores += np.where(rows >= 0, catalogue.snapshot.item_item_part(user.history)[rows], 0)
    return scores


def _allowed(catalogue: Catalogue, positions: NDArray[np.int64], asked: Asked) -> list[bool]:
    learned = (positions != UNKNOWN) & (positions < catalogue.snapshot.n_items)
    allowed = np.ones(len(positions), np.bool_)
    allowed[learned] = catalogue.snapshot.available[positions[learned]]
    withdrawn = catalogue.withdrawn
    return [own and item_id not in withdrawn for own, (item_id, _) in zip(allowed.tolist(), asked, strict=True)]
