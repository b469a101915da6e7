"""FeatureSpace: from named values to weighted columns, by one rule in training and in serving."""

from __future__ import annotations

import bisect
import math
import re
import sys
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from scipy import sparse

from lightfm_serve.records.nearest import did_you_mean
from lightfm_serve.records.values import clean_feature, clean_text
from recommender.errors import InvalidDataError
from recommender.ids import UNKNOWN, IdTable
from recommender.schema import FeatureValue

Features = Mapping[str, FeatureValue]

N_BUCKETS = 10
RARE = 10_000
"""Columns for what a single record has, 2.5 MB of a model of 64 components."""
_CATEGORY = re.compile(r"((?:[^\\=]|\\.)*)=")
"""Label of a category up to the equals sign that is not escaped."""
LABEL_BYTES = 8 * 2**20
"""Of labels whose columns a space remembers."""
PLACE_BYTES = 256
"""What the cache itself takes for one."""


class Encoded(NamedTuple):
    """One record in a feature space."""

    columns: NDArray[np.int32]
    """Learned columns, rising."""
    weights: NDArray[np.float32]
    """Their weights."""
    ignored: list[str]
    """Names and categories that the space has not learned."""


class FeatureSpace:
    """The columns that named values fall into.

    A string is a category, one column for each; a list of strings is several; a boolean is one of two;
    a number falls into a bucket between quantiles of the numbers that were learned. Every feature that
    is there weighs 1, or 1 divided by their count with ``normalise``. Scalars of numpy are numbers and booleans;
    tuples, sets and arrays are lists; None, NaN and an empty text say nothing; blanks around a text do not count.

    Parameters
    ----------
    names
        Labels of the columns: ``genres=Comedy``, ``age [20, 30)``. They only ever grow.
    edges
        For each name with numbers, the inner bounds of its buckets, rising.
    normalise
        Divide the weights of a record by their sum.
    rare
        Columns that may still be given to what a single record has: texts, links or random ids sent as features
        would otherwise make a model of any size. What two records have always gets its column.
    """

    def __init__(
        self, names: IdTable, edges: Mapping[str, Sequence[float]], *, normalise: bool = False, rare: int = RARE
    ) -> None:
        self.rare = rare
        self.names = names
        self.edges = {name: list(bounds) for name, bounds in edges.items()}
        self.normalise = normalise
        # by size, for who asks chooses the labels: one may be as long as a body
        self._columns: LRUCache[str, tuple[int, int]] = LRUCache(LABEL_BYTES, itemgetter(1))
        self._lock = Lock()

    @classmethod
    def empty(cls, *, normalise: bool = False, rare: int = RARE) -> FeatureSpace:
        """Space without columns."""
        return cls(IdTable.from_ids(), {}, normalise=normalise, rare=rare)

    def extended(self, records: Iterable[Features]) -> FeatureSpace:
        """Space that also knows what occurs in `records`.

        Old columns keep their places, and old numbers their buckets; a name that first shows numbers
        here gets buckets at the quantiles of these. Of what a single record has, the first `rare` get columns.
        """
        numbers: dict[str, list[float]] = {}
        labels: Counter[str] = Counter()
        met: Counter[Hashable] = Counter()
        named: dict[Hashable, tuple[str, FeatureValue]] = {}
        for record in records:
            for name, value in _cleaned(record):
                if not _is_number(value):
                    key = _key((name, value))
                    met[key] += 1
                    named[key] = name, value
                elif name not in self.edges:
                    numbers.setdefault(name, []).append(_finite(name, value))
        for key, times in met.items():
            labels.update(dict.fromkeys(_categories(*named[key]), times))
        edges = {name: _quantiles(values) for name, values in numbers.items()}
        for name, bounds in edges.items():
            labels.update(dict.fromkeys(_buckets(name, bounds), len(numbers[name])))
        new, left = self._admitted(labels)
        edges = {name: bounds for name, bounds in edges.items() if not new.isdisjoint(_buckets(name, bounds))}
        names = self.names.extended(label for label in labels if label in new)
        return FeatureSpace(names, self.edges | edges, normalise=self.normalise, rare=left)

    def _admitted(self, labels: Mapping[str, int]) -> tuple[set[str], int]:
        """Which labels get a column, by how many records have them, and what is left for rare ones."""
        rare = [label for label, times in labels.items() if times == 1 and label not in self.names]
        refused = set(rare[self.rare :])
        return {label for label in labels if label not in refused}, max(0, self.rare - len(rare))

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"<FeatureSpace: {len(self)} columns>"

    def encode(self, features: Features) -> Encoded:
        """Columns and weights of one record; what was not learned is named, not guessed."""
        columns: set[int] = set()
        ignored: list[str] = []
        for name, value in _cleaned(features):
            labels = self._labels(name, value)
            if not labels and _is_number(value):
                ignored.append(name)  # a number, and no bucket was learned
            for label in labels:
                column = self._column(label)
                if column == UNKNOWN:
                    ignored.append(label)
                else:
                    columns.add(column)
        weight = 1.0 / len(columns) if self.normalise and columns else 1.0
        return Encoded(np.array(sorted(columns), np.int32), np.full(len(columns), weight, np.float32), ignored)

    def encode_each(self, records: Iterable[Features]) -> list[Encoded]:
        """`encode` of each record; values repeat over the records, each is looked up once."""
        known: dict[Hashable, Encoded] = {}
        return [self._joined([self._looked_up(named, known) for named in _cleaned(record)]) for record in records]

    def encode_many(self, records: Iterable[Features]) -> sparse.csr_matrix:
        """CSR of one row a record and one column a learned feature."""
        # values repeat over the records: each is looked up once
        known: dict[Hashable, list[int]] = {}
        rows = [[column for named in _cleaned(record) for column in self._found(named, known)] for record in records]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        columns = np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))
        width = max(len(self), 1)
        places = np.unique(np.repeat(np.arange(len(rows)) * width, lengths) + columns)
        counts = np.bincount(places // width, minlength=len(rows))
        indptr = np.append(0, np.cumsum(counts)).astype(np.int32)
        shares = 1.0 / np.maximum(counts, 1) if self.normalise else np.ones(len(rows))
        weights = np.repeat(shares.astype(np.float32), counts)
        return sparse.csr_matrix((weights, (places % width).astype(np.int32), indptr), (len(rows), len(self)))

    def meant(self, ignored: str) -> str:
        """What `encode` ignored, in words: a name that is not known with the nearest, or a value of one that is."""
        name = _name_of(ignored)
        names = {*self.edges, *(own for label in self.names if (own := _name_of(label)) != label)}
        if name not in names:
            return f"{name} (the model knows no such feature{did_you_mean(name, names)})"
        return f"{ignored} (nothing was learned of this value)"

    def to_meta(self) -> dict[str, Any]:
        """What is not an array, for JSON; the names are arrays of their own."""
        return {"edges": self.edges, "normalise": self.normalise, "rare": self.rare}

    @classmethod
    def from_meta(cls, names: IdTable, meta: Mapping[str, Any]) -> FeatureSpace:
        """Space from its names and what `to_meta` gave."""
        return cls(names, meta["edges"], normalise=meta["normalise"], rare=meta.get("rare", RARE))

    def _labels(self, name: str, value: FeatureValue) -> list[str]:
        if not _is_number(value):
            return _categories(name, value)
        number, bounds = _finite(name, value), self.edges.get(name)
        return [] if bounds is None else [_bucket(name, bounds, number)]

    def _found(self, named: tuple[str, FeatureValue], known: dict[Hashable, list[int]]) -> list[int]:
        """Learned columns of one feature."""
        key = _key(named)
        columns = known.get(key)
        if columns is None:
            places = map(self.names.index_of, self._labels(*named))
            columns = known[key] = [column for column in places if column != UNKNOWN]
        return columns

    def _looked_up(self, named: tuple[str, FeatureValue], known: dict[Hashable, Encoded]) -> Encoded:
        key = _key(named)
        found = known.get(key)
        if found is None:
            found = known[key] = self.encode(dict([named]))
        return found

    def _joined(self, parts: Sequence[Encoded]) -> Encoded:
        columns = np.array(sorted({column for part in parts for column in part.columns.tolist()}), np.int32)
        weight = 1.0 / len(columns) if self.normalise and len(columns) else 1.0
        ignored = [name for part in parts for name in part.ignored]
        return Encoded(columns, np.full(len(columns), weight, np.float32), ignored)

    def _column(self, label: str) -> int:
        with self._lock:  # light and heavy requests are answered in two threads
            found = self._columns.get(label)
        if found is not None:
            return found[0]
        column, size = self.names.index_of(label), sys.getsizeof(label) + PLACE_BYTES
        if size <= LABEL_BYTES:
            with self._lock:
                self._columns[label] = column, size
        return column


def matrix_of(records: Sequence[Encoded], n_columns: int) -> sparse.csr_matrix:
    """CSR of one row a record."""
    indptr = np.zeros(len(records) + 1, np.int64)
    np.cumsum([len(record.columns) for record in records], out=indptr[1:])
    columns = np.concatenate([np.zeros(0, np.int32), *(record.columns for record in records)])
    weights = np.concatenate([np.zeros(0, np.float32), *(record.weights for record in records)])
    return sparse.csr_matrix((weights, columns, indptr), (len(records), n_columns), copy=False)


def tokens(features: Features) -> list[str]:
    """``name:value`` of every value, as a filter writes it; numbers in their shortest form."""
    return [f"{name}:{text}" for name, value in _cleaned(features) for text in _texts(value)]


def clean_token(token: str) -> str:
    """``name:value`` as somebody wrote it, as `tokens` writes it."""
    name, colon, value = token.partition(":")
    return name + colon + clean_text(value)


def _cleaned(features: Mapping[str, Any]) -> Iterator[tuple[str, FeatureValue]]:
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


def _plain(name: str, value: Any) -> FeatureValue | None:
    if isinstance(value, str):
        return clean_text(value)
    if type(value) is list and set(map(type, value)) == {str}:
        return [text for text in map(clean_text, value) if text]
    try:
        return clean_feature(value, markers=())
    except ValueError as error:
        raise InvalidDataError(f"feature {name!r}: {str(error).replace('{}', repr(value)[:80])}") from None


def _key(named: tuple[str, FeatureValue]) -> Hashable:
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


def _categories(name: str, value: FeatureValue) -> list[str]:
    return [f"{_escaped(name)}={text}" for text in _texts(value)]


def _escaped(name: str) -> str:
    # an equals sign inside a name is escaped: {"a=b": "c"} and {"a": "b=c"} are not the same feature
    return name.replace("\\", "\\\\").replace("=", "\\=")


def _name_of(label: str) -> str:
    """Name in the label of a category; any other label as it is."""
    found = _CATEGORY.match(label)
    return found[1].replace("\\=", "=").replace("\\\\", "\\") if found else label


def _is_number(value: FeatureValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _finite(name: str, value: FeatureValue) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # _is_number has been asked
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidDataError(f"feature {name!r} is {number}; numbers must be finite")
    return number


def _quantiles(values: Sequence[float]) -> list[float]:
    shares = np.linspace(0, 1, N_BUCKETS + 1)[1:-1]
    bounds = np.unique(np.quantile(np.asarray(values, np.float64), shares, method="inverted_cdf"))
    return [float(bound) for bound in bounds if bound > min(values)]


def _buckets(name: str, bounds: Sequence[float]) -> list[str]:
    return [_bucket(name, bounds, bound) for bound in [-math.inf, *bounds]]


def _bucket(name: str, bounds: Sequence[float], number: float) -> str:
    place = bisect.bisect_right(bounds, number)
    low = f"[{_exact(bounds[place - 1])}" if place else "(-∞"
    high = _exact(bounds[place]) if place < len(bounds) else "∞"
    return f"{_escaped(name)} {low}, {high})"


def _exact(bound: float) -> str:
    # every digit that tells one bound from the next, or two buckets would share a column
    return repr(bound).removesuffix(".0")
