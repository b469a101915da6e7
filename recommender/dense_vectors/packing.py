"""Dense vectors in memory and in the store: 16 bits a number, with one exponent for all of a vector.

A number is a whole multiple of a power of two, the smallest with which the largest number of the vector fits into 16
bits: so it is off by at most 1/32,768 of the largest. What is read back as decimals and put again is the same, bit by
bit.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from lightfm_serve.records.vectors import FEWEST_NUMBERS

Vector = msgspec.msgpack.Ext
"""A packed vector, as an extension type of msgpack: a byte of the exponent, then little-endian int16s."""
CODE = 1
"""Of the extension type."""

_LARGEST = 32_767.4
"""What still rounds to the largest int16."""
_SMALLEST_EXPONENT = -128


def pack_vector(numbers: Sequence[float]) -> Vector:
    """Vector of finite numbers, as `lightfm_serve.records.vectors.clean_vector` gives them."""
    step = max(map(abs, numbers)) / _LARGEST  # 0 too where that is less than any float
    exponent = max(math.ceil(math.log2(step)), _SMALLEST_EXPONENT) if step > 0 else 0
    whole = np.rint(np.array(numbers, np.float64) * 2.0**-exponent).astype("<i2")
    exponent = exponent if whole.any() else 0  # what is too small for float32 is 0
    return Vector(CODE, exponent.to_bytes(1, signed=True) + whole.tobytes())


def is_packed(value: object) -> TypeGuard[Vector]:
    """Whether a value is a vector."""
    return type(value) is Vector


def is_sound(vector: Vector) -> bool:
    """Whether the bytes of a vector are one."""
    return vector.code == CODE and len(_data(vector)) % 2 == 1 and length_of(vector) >= FEWEST_NUMBERS


def length_of(vector: Vector) -> int:
    """How many numbers a vector has."""
    return (len(_data(vector)) - 1) // 2


def unpack_vectors(vectors: Sequence[Vector]) -> NDArray[np.float32]:
    """Numbers of vectors of one length, float32 of shape (n, length)."""
    joined = np.frombuffer(b"".join(_data(vector)[1:] for vector in vectors), "<i2")
    exponents = np.array([_exponent(vector) for vector in vectors], np.int32)
    rows = joined.reshape(len(vectors), -1).astype(np.float32)
    return np.ldexp(rows, exponents[:, None]).astype(np.float32, copy=False)


def decimals_of(vector: Vector) -> list[float]:
    """Numbers of a vector in few decimals, as JSON shows them; packed again they are the same."""
    whole = array("h", _data(vector)[1:])
    if sys.byteorder == "big":
        whole.byteswap()
    step = 2.0 ** _exponent(vector)
    digits = math.ceil(0.31 - math.log10(step))
    return [round(number * step, digits) for number in whole]


def with_lists(features: Mapping[str, Any]) -> dict[str, Any]:
    """Features with vectors as lists of numbers."""
    return {name: decimals_of(value) if is_packed(value) else value for name, value in features.items()}


def _exponent(vector: Vector) -> int:
    return int.from_bytes(_data(vector)[:1], signed=True)


def _data(vector: Vector) -> bytes:
    return cast("bytes", vector.data)
