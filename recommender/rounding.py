"""Rounding of float32 scores to the shortest decimal, so that 2.31 is not 2.309999942779541."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def short(number: float) -> float:
    """As many digits as every float32 has, seven: for what was computed."""
    return float(f"{number:.7g}")


FEW = 32
"""Numbers of which each is rounded by itself: numpy costs more than they do."""


def short_all(numbers: NDArray[np.float32] | Sequence[float]) -> list[float]:
    """`short` of each; of many by arithmetic: a whole number over a power of ten is the float that its digits mean."""
    exact = np.asarray(numbers, np.float64)
    if len(exact) <= FEW:
        return [short(number) for number in exact.tolist()]
    scale = 10.0 ** np.clip(6 - np.floor(np.log10(np.maximum(np.abs(exact), 1e-15))), 0, 22)
    found: list[float] = (np.rint(exact * scale) / scale).tolist()
    return found


def shortest(numbers: NDArray[np.float32]) -> list[float]:
    """The fewest digits that are this float32 and no other: for what was given, and goes out again."""
    distinct, places = np.unique(numbers, return_inverse=True)
    texts = [float(str(number)) for number in distinct]
    return [texts[place] for place in places.tolist()]
