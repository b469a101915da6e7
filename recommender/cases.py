"""The sixteen cases: what is known of a user and of an item."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NUMERALS = (
    "I",
    "II",
    "III",
    "IV",
    "V",
    "VI",
    "VII",
    "VIII",
    "IX",
    "X",
    "XI",
    "XII",
    "XIII",
    "XIV",
    "XV",
    "XVI",
)

KNOWN_WITH_FEATURES, KNOWN_ALONE = 0, 2
"""Item blocks of those with an indicator."""

NOTHING_KNOWN = 3
"""User row and item block of those who are neither known nor have features."""

KNOWN_USERS = (0, 2)
"""Rows of the users who were seen in training."""

UNSCORED = "the item was not seen in training and has no feature that the model has learned"
"""Why an item of the cases XIII to XVI has no score."""


def user_row(*, known: bool, has_features: bool) -> int:
    """Row of the table, 0 to 3: known with features, features alone, known alone, nothing."""
    if has_features:
        return 0 if known else 1
    return 2 if known else NOTHING_KNOWN


def item_blocks(known: NDArray[np.bool_], has_features: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Block of the table for each item: 0 known with features, 1 features alone, 2 known alone, 3 nothing."""
    blocks = np.where(has_features, np.where(known, 0, 1), np.where(known, 2, 3))
    return blocks.astype(np.int8)


def item_block(*, known: bool, has_features: bool) -> int:
    """Block of the table for one item."""
    return int(item_blocks(np.array([known]), np.array([has_features]))[0])


def numeral(row: int, block: int) -> str:
    """Roman numeral of a case."""
    return NUMERALS[4 * block + row]
