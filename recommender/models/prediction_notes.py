"""Notes of a prediction: which case each item falls in, what has no score, and which features were ignored."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender import cases
from recommender.ids import UNKNOWN
from recommender.models.entities import Entities
from recommender.sparse_frame import SparseFrame


def user_row(side: Entities, user_id: str, encoded: sparse.csr_matrix) -> int:
    """Row of the case table that a user falls in; see `recommender.cases`."""
    known = bool(side.known([user_id])[0] != UNKNOWN)
    return cases.user_row(known=known, has_features=encoded.nnz > known)


def item_blocks(side: Entities, item_ids: Sequence[str], encoded: sparse.csr_matrix) -> NDArray[np.int8]:
    """Block of the case table that each item falls in, shape (n_items,); see `recommender.cases`."""
    known = side.known(item_ids) != UNKNOWN
    return cases.item_blocks(known, np.diff(encoded.indptr) > known)


def ignored_features(side: Entities, frame: SparseFrame | None) -> list[str]:
    """Names of the features that were passed and not learned."""
    return [] if frame is None else [name for name in frame.columns if name not in side.names]


def notes_of(item_ids: Sequence[str], row: int, blocks: NDArray[np.int8], ignored: list[str]) -> dict[Hashable, Any]:
    """Notes for the ``attrs`` of a prediction: ``cases``, ``unscored`` and ``ignored_features``."""
    numerals = {item_id: cases.numeral(row, block) for item_id, block in zip(item_ids, blocks.tolist(), strict=True)}
    unscored = [
        item_id for item_id, block in zip(item_ids, blocks.tolist(), strict=True) if block == cases.NOTHING_KNOWN
    ]
    return {
        "cases": numerals,
        "unscored": dict.fromkeys(unscored, cases.UNSCORED),
        "ignored_features": ignored,
    }
