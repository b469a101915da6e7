"""Feature values: from a named value to the labels of columns, and to the tokens of filters."""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lightfm_serve.records.values import clean_feature, clean_text
from recommender.dense_vectors.packing import is_packed, pack_vector
from recommender.errors import InvalidDataError
from recommender.schema import FeatureValue

Features = Mapping[str, FeatureValue]

N_BUCKETS = 10
_CATEGORY = re.compile(r"((?:[^\\=]|\\.)*)=")
"""Label of a category up to the equals sign that is not escaped."""


def tokens(features: Features) -> list[str]:
    """``name:value`` of every value, as a filter writes it; numbers in their shortest form, vectors left out."""
    plain = ((name, value) for name, value in cleaned(features) if not is_packed(value))
    return [f"{name}:{text}" for name, value in plain for text in _texts(value)]


def clean_token(token: str) -> str:
    """``name:value`` as somebody wrote it, as `tokens` writes it."""
    name, colon, value = token.partition(":")
    return name + colon + clean_text(value)


def cleaned(features: Mapping[str, Any]) -> Iterator[tuple[str, FeatureValue]]:
    """Names and plain values, without what is missing."""
    for name, value in features.items():
        plain = value
        # every request comes by here: what is plain already is asked for nothing but its type
        if type(value) is str and value.isascii():
            plain = value.strip()
        elif type(value) not in (bool, int):
            plain = _plain(name, value)
        if plain is not None and plain != "":
            yield name, plain


def vectors_among(features: Mapping[str, Any]) -> dict[str, Any]:
    """Features that may be dense vectors: most are not, and need no other look."""
    return {
        name: value
        for name, value in features.items()
        if not isinstance(value, str | int | float) and not (type(value) is list and value and type(value[0]) is str)
    }


def _plain(name: str, value: Any) -> FeatureValue | None:
    if is_packed(value):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if type(value) is list and set(map(type, value)) == {str}:
        return [text for text in map(clean_text, value) if text]
    try:
        return _packed(clean_feature(value, markers=()))
    except ValueError as error:
        raise InvalidDataError(f"feature {name!r}: {str(error).replace('{}', repr(value)[:80])}") from None


def _packed(value: Any) -> FeatureValue | None:
    return pack_vector(value) if isinstance(value, list) and value and isinstance(value[0], float) else value


def key_of(named: tuple[str, FeatureValue]) -> Hashable:
    """Key of a named value, by which equal ones are looked up once."""
    # 1, 1.0 and True are equal, and not the same feature
    name, value = named
    return (name, *value) if isinstance(value, list) else (name, type(value), value)


def _texts(value: FeatureValue) -> list[str]:
    if isinstance(value, list):
        return value
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return [str(value)]


def categories(name: str, value: FeatureValue) -> list[str]:
    """Labels of the categories that a value is."""
    return [f"{escaped(name)}={text}" for text in _texts(value)]


def escaped(name: str) -> str:
    """Name as it stands in labels."""
    # an equals sign inside a name is escaped: {"a=b": "c"} and {"a": "b=c"} are not the same feature
    return name.replace("\\", "\\\\").replace("=", "\\=")


def name_of(label: str) -> str:
    """Name in the label of a category; any other label as it is."""
    found = _CATEGORY.match(label)
    return found[1].replace("\\=", "=").replace("\\\\", "\\") if found else label


def is_number(value: FeatureValue) -> bool:
    """Whether a value is a number, which falls into a bucket; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(name: str, value: FeatureValue) -> float:
    """Number as a float; `InvalidDataError` for one that is not finite."""
    try:
        number = float(value)  # type: ignore[arg-type]  # is_number has been asked
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidDataError(f"feature {name!r} is {number}; numbers must be finite")
    return number


def quantiles(values: Sequence[float]) -> list[float]:
    """Inner bounds of buckets of about equally many of the numbers, rising."""
    shares = np.linspace(0, 1, N_BUCKETS + 1)[1:-1]
    bounds = np.unique(np.quantile(np.asarray(values, np.float64), shares, method="inverted_cdf"))
    return [float(bound) for bound in bounds if bound > min(values)]


def buckets(name: str, bounds: Sequence[float]) -> list[str]:
    """Labels of all buckets."""
    return [bucket(name, bounds, bound) for bound in [-math.inf, *bounds]]


def bucket(name: str, bounds: Sequence[float], number: float) -> str:
    """Label of the bucket that a number falls into."""
    place = bisect.bisect_right(bounds, number)
    low = f"[{_exact(bounds[place - 1])}" if place else "(-∞"
    high = _exact(bounds[place]) if place < len(bounds) else "∞"
    return f"{escaped(name)} {low}, {high})"


def _exact(bound: float) -> str:
    # every digit that tells one bound from the next, or two buckets would share a column
    return repr(bound).removesuffix(".0")
