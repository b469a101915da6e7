"""Dense vectors among values: which lists are one, and what they must be.

A list of strings is several categories, and so is one of whole numbers in Python or a file, where types tell them from
measured ones: ``[28, 12]`` are ids of genres. A list with a number that is no whole one by its type is a dense vector,
such as an embedding. JSON knows one kind of number: there any list of numbers is a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

FEWEST_NUMBERS, MOST_NUMBERS = 2, 4_096
"""Of a dense vector."""
LARGEST_NUMBER = 1e38
"""Of a dense vector: rounded to what is kept of it, it still is below the largest number of float32."""


def is_vector(members: Sequence[Any]) -> bool:
    """Whether a list of plain values is a dense vector, well made or not: all are numbers, one at least a float."""
    kinds = set(map(type, members))
    return kinds <= {int, float} and float in kinds


def clean_json_list(members: Sequence[str | float]) -> list[str] | list[float]:
    """Categories or the numbers of a dense vector, from a list in JSON.

    Raises
    ------
    ValueError
        It is a mixture of both, or the vector is none.
    """
    texts = [member for member in members if isinstance(member, str)]
    if len(texts) == len(members):
        return texts
    if texts:
        raise ValueError("{} mixes text and numbers; a list is one or the other")
    return clean_vector(members)  # type: ignore[arg-type]  # no member is text


def clean_vector(members: Sequence[float]) -> list[float]:
    """Numbers of a dense vector as floats.

    Raises
    ------
    ValueError
        They are too few or too many, or one is not finite or beyond 1e38.
    """
    if not FEWEST_NUMBERS <= len(members) <= MOST_NUMBERS:
        raise ValueError(
            f"{{}} is a list of {len(members)} numbers; a dense vector has {FEWEST_NUMBERS} to {MOST_NUMBERS}, "
            "and categories are text"
        )
    if not all(-LARGEST_NUMBER <= number <= LARGEST_NUMBER for number in members):  # NaN is not either
        raise ValueError(f"{{}} is a vector with a number that is not finite, or beyond {LARGEST_NUMBER:g}")
    return list(map(float, members))
