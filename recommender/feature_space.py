"""FeatureSpace: from named values to weighted columns, by one rule in training and in serving."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from operator import itemgetter
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from scipy import sparse

from lightfm_serve.records.nearest import did_you_mean
from recommender.dense_vectors.packing import Vector, is_packed, length_of
from recommender.dense_vectors.projection import (
    VectorProjection,
    most_frequent_length,
    projections_from,
    projections_to_arrays,
    projections_to_meta,
)
from recommender.feature_values import (
    Features,
    bucket,
    buckets,
    categories,
    clean_token,
    cleaned,
    escaped,
    finite,
    is_number,
    key_of,
    name_of,
    quantiles,
    tokens,
    vectors_among,
)
from recommender.ids import UNKNOWN, Arrays, IdTable
from recommender.schema import FeatureValue

__all__ = ["RARE", "Encoded", "FeatureSpace", "Features", "clean_token", "matrix_of", "tokens"]

RARE = 10_000
"""Columns for what a single record has, 2.5 MB of a model of 64 components."""
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
    A dense vector, a list of numbers, falls into all columns of its projection, whose weights nothing divides.

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
    vectors
        For each name with dense vectors, the columns that they fall into.
    """

    def __init__(
        self,
        names: IdTable,
        edges: Mapping[str, Sequence[float]],
        *,
        normalise: bool = False,
        rare: int = RARE,
        vectors: Mapping[str, VectorProjection] | None = None,
    ) -> None:
        self.rare = rare
        self.names = names
        self.vectors = dict(vectors or {})
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
            for name, value in cleaned(record):
                if is_packed(value):
                    continue  # see `with_projections`
                if not is_number(value):
                    key = key_of((name, value))
                    met[key] += 1
                    named[key] = name, value
                elif name not in self.edges:
                    numbers.setdefault(name, []).append(finite(name, value))
        for key, times in met.items():
            labels.update(dict.fromkeys(categories(*named[key]), times))
        edges = {name: quantiles(values) for name, values in numbers.items()}
        for name, bounds in edges.items():
            labels.update(dict.fromkeys(buckets(name, bounds), len(numbers[name])))
        new, left = self._admitted(labels)
        edges = {name: bounds for name, bounds in edges.items() if not new.isdisjoint(buckets(name, bounds))}
        names = self.names.extended(label for label in labels if label in new)
        return FeatureSpace(names, self.edges | edges, normalise=self.normalise, rare=left, vectors=self.vectors)

    def new_vectors(self, records: Iterable[Features]) -> dict[str, list[tuple[int, Vector]]]:
        """Dense vectors whose names have no columns, each with the place of its record.

        Of vectors of several lengths under one name those of the most frequent count; doors refuse the others.
        """
        vectors: dict[str, list[tuple[int, Vector]]] = {}
        for place, record in enumerate(records):
            for name, value in cleaned(vectors_among(record)):
                if is_packed(value) and name not in self.vectors:
                    vectors.setdefault(name, []).append((place, value))
        lengths = {name: most_frequent_length([each for _, each in found]) for name, found in vectors.items()}
        return {
            name: [(place, each) for place, each in found if length_of(each) == lengths[name]]
            for name, found in vectors.items()
        }

    def with_projections(self, added: Mapping[str, VectorProjection]) -> FeatureSpace:
        """Space with columns for dense vectors, by their names, which have none yet."""
        names, projections = self.names, dict(self.vectors)
        for name, projection in added.items():
            projections[name] = replace(projection, first=len(names))
            names = names.extended(projection.labels(escaped(name)))
        return FeatureSpace(names, self.edges, normalise=self.normalise, rare=self.rare, vectors=projections)

    def rescaled(self, first: int, factors: NDArray[np.float32]) -> FeatureSpace:
        """Space in which the weights of dense vectors from a column on are so many times as large."""
        scaled = {
            name: projection.scaled(factors[projection.columns - first])
            for name, projection in self.vectors.items()
            if projection.first >= first
        }
        return FeatureSpace(
            self.names, self.edges, normalise=self.normalise, rare=self.rare, vectors=self.vectors | scaled
        )

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
        vectors: list[tuple[str, Vector]] = []
        for name, value in cleaned(features):
            if is_packed(value):
                vectors.append((name, value))
                continue
            labels = self._labels(name, value)
            if not labels and is_number(value):
                ignored.append(name)  # a number, and no bucket was learned
            for label in labels:
                column = self._column(label)
                if column == UNKNOWN:
                    ignored.append(label)
                else:
                    columns.add(column)
        weight = 1.0 / len(columns) if self.normalise and columns else 1.0
        plain = Encoded(np.array(sorted(columns), np.int32), np.full(len(columns), weight, np.float32), ignored)
        return self._with_vectors(plain, vectors) if vectors else plain

    def _with_vectors(self, plain: Encoded, vectors: Sequence[tuple[str, Vector]]) -> Encoded:
        columns, weights, ignored = [plain.columns], [plain.weights], [*plain.ignored]
        for name, vector in vectors:
            projection = self._projection(name, vector)
            if projection is None:
                ignored.append(name)
            else:
                columns.append(projection.columns)
                weights.append(projection.weights([vector])[0])
        joined = np.concatenate(columns)
        order = np.argsort(joined)
        return Encoded(joined[order], np.concatenate(weights)[order], ignored)

    def _projection(self, name: str, vector: Vector) -> VectorProjection | None:
        """Columns of a vector; None where none of its length was learned."""
        found = self.vectors.get(name)
        return found if found is not None and found.length == length_of(vector) else None

    def encode_each(self, records: Iterable[Features]) -> list[Encoded]:
        """`encode` of each record; values repeat over the records, each is looked up once."""
        known: dict[Hashable, Encoded] = {}
        return [self._encoded(list(cleaned(record)), known) for record in records]

    def _encoded(self, record: Sequence[tuple[str, FeatureValue]], known: dict[Hashable, Encoded]) -> Encoded:
        vectors = [(name, value) for name, value in record if is_packed(value)]
        plain = self._joined([self._looked_up(named, known) for named in record if not is_packed(named[1])])
        return self._with_vectors(plain, vectors) if vectors else plain

    def encode_many(self, records: Iterable[Features]) -> sparse.csr_matrix:
        """CSR of one row a record and one column a learned feature."""
        # values repeat over the records: each is looked up once
        known: dict[Hashable, list[int]] = {}
        rows: list[list[int]] = []
        vectors: dict[str, list[tuple[int, Vector]]] = {}
        for record in records:
            own: list[int] = []
            for name, value in cleaned(record):
                if is_packed(value):
                    vectors.setdefault(name, []).append((len(rows), value))
                else:
                    own += self._found((name, value), known)
            rows.append(own)
        plain = self._plain_rows(rows)
        return plain + self._vector_rows(vectors, len(rows)) if vectors else plain

    def _plain_rows(self, rows: Sequence[Sequence[int]]) -> sparse.csr_matrix:
        """CSR of categories and buckets, by the columns of each record."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        columns = np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))
        width = max(len(self), 1)
        places = np.unique(np.repeat(np.arange(len(rows)) * width, lengths) + columns)
        counts = np.bincount(places // width, minlength=len(rows))
        indptr = np.append(0, np.cumsum(counts)).astype(np.int32)
        shares = 1.0 / np.maximum(counts, 1) if self.normalise else np.ones(len(rows))
        weights = np.repeat(shares.astype(np.float32), counts)
        return sparse.csr_matrix((weights, (places % width).astype(np.int32), indptr), (len(rows), len(self)))

    def _vector_rows(self, vectors: Mapping[str, Sequence[tuple[int, Vector]]], n_rows: int) -> sparse.csr_matrix:
        """CSR of dense vectors, by the rows of their records."""
        parts = [sparse.csr_matrix((n_rows, len(self)), dtype=np.float32)]
        for name, found in vectors.items():
            fitting = [(row, vector) for row, vector in found if self._projection(name, vector) is not None]
            if not fitting:
                continue
            projection = self.vectors[name]
            rows, n = np.array([row for row, _ in fitting]), len(projection.columns)
            weights = projection.weights([vector for _, vector in fitting])
            places = (np.repeat(rows, n), np.tile(projection.columns, len(rows)))
            parts.append(sparse.csr_matrix((weights.ravel(), places), (n_rows, len(self))))
        return sum(parts[1:], parts[0])

    def meant(self, ignored: str) -> str:
        """What `encode` ignored, in words: a name that is not known with the nearest, or a value of one that is."""
        name = name_of(ignored)
        names = {*self.edges, *self.vectors, *(own for label in self.names if (own := name_of(label)) != label)}
        if name not in names:
            return f"{name} (the model knows no such feature{did_you_mean(name, names)})"
        if name in self.vectors:
            return f"{name} (the model learned vectors of {self.vectors[name].length} numbers)"
        return f"{ignored} (nothing was learned of this value)"

    def to_meta(self) -> dict[str, Any]:
        """What is not an array, for JSON; the names are arrays of their own."""
        plain = {"edges": self.edges, "normalise": self.normalise, "rare": self.rare}
        return plain | projections_to_meta(self.vectors)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Names and projections; with `to_meta`, the whole space."""
        return self.names.to_arrays() | projections_to_arrays(self.vectors)

    @classmethod
    def from_arrays(cls, arrays: Arrays, meta: Mapping[str, Any]) -> FeatureSpace:
        """Space over the same memory as `arrays`, with what `to_meta` gave."""
        names, vectors = IdTable.from_arrays(arrays), projections_from(arrays, meta)
        rare = meta.get("rare", RARE)
        return cls(names, meta["edges"], normalise=meta["normalise"], rare=rare, vectors=vectors)

    def are_components(self) -> NDArray[np.bool_]:
        """Which columns are components of dense vectors, whose weights have signs and do not count presence."""
        found = np.zeros(len(self), np.bool_)
        for projection in self.vectors.values():
            found[projection.columns[1:]] = True
        return found

    def named(self, columns: NDArray[np.int32]) -> tuple[list[str], NDArray[np.int64]]:
        """Names of columns as people read them: a dense vector has one for all of its own.

        Returns
        -------
        Distinct names, and int64 with the place of each column's name among them.
        """
        labels = self.names.ids_of(columns.tolist())
        for name, projection in self.vectors.items():
            for place in np.flatnonzero(np.isin(columns, projection.columns)).tolist():
                labels[place] = escaped(name)
        places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
        return list(places), np.array([places[label] for label in labels], np.int64)

    def _labels(self, name: str, value: FeatureValue) -> list[str]:
        if not is_number(value):
            return categories(name, value)
        number, bounds = finite(name, value), self.edges.get(name)
        return [] if bounds is None else [bucket(name, bounds, number)]

    def _found(self, named: tuple[str, FeatureValue], known: dict[Hashable, list[int]]) -> list[int]:
        """Learned columns of one feature."""
        key = key_of(named)
        columns = known.get(key)
        if columns is None:
            places = map(self.names.index_of, self._labels(*named))
            columns = known[key] = [column for column in places if column != UNKNOWN]
        return columns

    def _looked_up(self, named: tuple[str, FeatureValue], known: dict[Hashable, Encoded]) -> Encoded:
        key = key_of(named)
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
