"""Ids and texts as arrays, so that many processes map one copy of them."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfm_serve.records.values import clean_id
from recommender.errors import InvalidDataError

UNKNOWN = -1

Arrays = Mapping[str, NDArray[np.generic]]
"""Named arrays: what a safetensors file holds and what Ray's object store shares without a copy."""


class TextTable:
    """Texts by index: one byte array and its offsets.

    Parameters
    ----------
    data
        uint8, the UTF-8 bytes of all texts in a row.
    offsets
        int64 of shape (n + 1,), where each text begins; the last is ``len(data)``.
    """

    __slots__ = ("data", "offsets")

    def __init__(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        self.data = data
        self.offsets = offsets

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> TextTable:
        """Pack `texts` in their order."""
        encoded = [text.encode() for text in texts]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is outside a table of {len(self)}")
        return self.bytes_at(index).decode()

    def __iter__(self) -> Iterator[str]:
        return iter(self.take(range(len(self))))

    def bytes_at(self, index: int) -> bytes:
        """UTF-8 bytes of one text."""
        return self.data[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def take(self, indices: Iterable[int]) -> list[str]:
        """Texts at `indices`, in that order."""
        places = np.fromiter(indices, np.int64)
        if (places < 0).any():
            raise IndexError("an index is below 0")
        starts, ends = self.offsets[places].tolist(), self.offsets[places + 1].tolist()
        data = memoryview(self.data)  # type: ignore[arg-type]  # an array is a buffer
        return [str(data[start:end], "utf-8") for start, end in zip(starts, ends, strict=True)]

    def concatenated(self, other: TextTable) -> TextTable:
        """Texts of this table, then those of `other`."""
        offsets = np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]])
        return TextTable(np.concatenate([self.data, other.data]), offsets)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Arrays that `from_arrays` takes."""
        return {"data": self.data, "offsets": self.offsets}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> TextTable:
        """Table over the same memory as `arrays`."""
        return cls(arrays["data"].view(np.uint8), arrays["offsets"].view(np.int64))


class IdTable:
    """Distinct ids and their indices; append-only, so that an index never moves.

    A lookup hashes the id, finds the hash by binary search and compares the bytes: no dictionary, so
    that a table of a million ids is shared between processes as it lies in memory.

    Parameters
    ----------
    texts
        Ids by index.
    hashes
        uint64 of shape (n,), rising.
    order
        int32 of shape (n,): the index of the id behind each hash.
    """

    __slots__ = ("hashes", "order", "texts")

    def __init__(self, texts: TextTable, hashes: NDArray[np.uint64], order: NDArray[np.int32]) -> None:
        self.texts = texts
        self.hashes = hashes
        self.order = order

    @classmethod
    def from_ids(cls, ids: Iterable[str] = ()) -> IdTable:
        """Give each of `ids` the next index; a repeated one keeps its first."""
        texts = TextTable.from_texts(dict.fromkeys(ids))
        hashes = _hashes(texts)
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        return cls(texts, hashes[order], order)

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __getitem__(self, index: int) -> str:
        return self.texts[index]

    def __contains__(self, an_id: object) -> bool:
        return isinstance(an_id, str) and self.index_of(an_id) != UNKNOWN

    def __repr__(self) -> str:
        return f"<IdTable: {len(self)} ids>"

    def index_of(self, an_id: str) -> int:
        """Index of an id, -1 for one that is not here."""
        encoded = an_id.encode()
        wanted = _hash(encoded)
        return self._find(encoded, wanted, int(np.searchsorted(self.hashes, np.uint64(wanted))))

    @classmethod
    def coded(cls, ids: Sequence[Hashable] | pd.Series[Any]) -> tuple[IdTable, NDArray[np.int32]]:
        """`from_ids`, and the index of each of `ids`, int32, in their order: no id is looked up twice.

        Raises
        ------
        InvalidDataError
            An id is missing or cannot be one; the message names its row, counted from 0.
        """
        codes, distinct = pd.factorize(ids if isinstance(ids, pd.Series) else _objects(ids))
        if (codes < 0).any():
            row = int(np.argmax(codes < 0))
            raise InvalidDataError(f"the id in row {row} is missing: it is {list(ids)[row]!r}")
        texts = distinct.tolist()
        if not all(type(text) is str for text in texts):
            texts = [id_text(value, f"in row {np.argmax(codes == code)}") for code, value in enumerate(texts)]
            table = cls.from_ids(texts)
            return table, table.indices_of(texts)[codes]
        return cls.from_ids(texts), codes.astype(np.int32)

    def indices_of(self, ids: Sequence[str] | pd.Series[str] | IdTable) -> NDArray[np.int32]:
        """Indices of `ids`, in that order; int32, -1 for those that are not here.

        A column repeats its ids: of a series, each distinct one is looked up once, and there is never a
        Python string for each row. Of another table all are looked up at once, by its hashes.
        """
        if isinstance(ids, IdTable):
            return self._indices_of_table(ids)
        if isinstance(ids, pd.Series):
            codes, distinct = pd.factorize(ids)
            indices: NDArray[np.int32] = self.indices_of(distinct.tolist())[codes]
            return indices
        if not len(ids):
            return np.empty(0, np.int32)
        encoded = [an_id.encode() for an_id in ids]
        wanted = np.fromiter((_hash(each) for each in encoded), np.uint64, len(encoded))
        positions = np.searchsorted(self.hashes, wanted).tolist()
        found = (self._find(*each) for each in zip(encoded, wanted.tolist(), positions, strict=True))
        return np.fromiter(found, np.int32, len(encoded))

    def _indices_of_table(self, other: IdTable) -> NDArray[np.int32]:
        found = np.full(len(other), UNKNOWN, np.int32)
        places = np.searchsorted(self.hashes, other.hashes)
        alike = np.append(self.hashes, np.uint64(0))[places] == other.hashes
        alike[places == len(self)] = False
        own, theirs = self.order[places[alike]], other.order[alike]
        same = _are_equal(self.texts, own, other.texts, theirs)
        found[theirs[same]] = own[same]
        for index in theirs[~same].tolist():  # two ids of one hash
            found[index] = self.index_of(other[index])
        return found

    def ids_of(self, indices: Iterable[int]) -> list[str]:
        """Ids at `indices`, in that order."""
        return self.texts.take(indices)

    def extended(self, ids: Iterable[str]) -> IdTable:
        """Table with those of `ids` appended that were not here; every old index stays."""
        candidates = list(dict.fromkeys(ids))
        known = self.indices_of(candidates) != UNKNOWN
        fresh = IdTable.from_ids(an_id for an_id, here in zip(candidates, known, strict=True) if not here)
        if not len(fresh):
            return self
        places = np.searchsorted(self.hashes, fresh.hashes)
        return IdTable(
            self.texts.concatenated(fresh.texts),
            np.insert(self.hashes, places, fresh.hashes),
            np.insert(self.order, places, fresh.order + len(self)),
        )

    def renamed(self, old: str, new: str) -> IdTable:
        """Table in which another id stands at the index of one; the same where that is not here.

        Parameters
        ----------
        old
            Which goes.
        new
            Which comes, and must not be here.
        """
        index = self.index_of(old)
        if index == UNKNOWN:
            return self
        start, end = self.texts.offsets[index : index + 2].tolist()
        encoded = np.frombuffer(new.encode(), np.uint8)
        data = np.concatenate([self.texts.data[:start], encoded, self.texts.data[end:]])
        offsets = self.texts.offsets.copy()
        offsets[index + 1 :] += len(encoded) - (end - start)
        kept = self.order != index
        hashes, order = self.hashes[kept], self.order[kept]
        place = int(np.searchsorted(hashes, np.uint64(_hash(new.encode()))))
        hashes = np.insert(hashes, place, np.uint64(_hash(new.encode())))
        return IdTable(TextTable(data, offsets), hashes, np.insert(order, place, np.int32(index)))

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Arrays that `from_arrays` takes."""
        return {**self.texts.to_arrays(), "hashes": self.hashes, "order": self.order}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> IdTable:
        """Table over the same memory as `arrays`."""
        order = arrays["order"].view(np.int32)
        return cls(TextTable.from_arrays(arrays), arrays["hashes"].view(np.uint64), order)

    def _find(self, encoded: bytes, wanted: int, position: int) -> int:
        while position < len(self.hashes) and self.hashes[position] == wanted:
            index = int(self.order[position])
            if self.texts.bytes_at(index) == encoded:
                return index
            position += 1
        return UNKNOWN


def id_text(value: object, place: str = "") -> str:
    """Id as text: a string as it is, whole numbers (numpy's too, and floats like 5.0) and UUIDs as they are written.

    Raises
    ------
    InvalidDataError
        It is missing, or cannot be an id; the message names it and `place`.
    """
    if isinstance(value, str):
        return str(value)
    try:
        return clean_id(value)
    except ValueError as error:
        reason = str(error).replace("{}", repr(value)[:80])
        raise InvalidDataError(f"{reason}{place and f' ({place})'}") from None


def id_texts(ids: str | Iterable[object]) -> list[str]:
    """Ids as `id_text` has them; one that stands alone is one id, and not a list of letters."""
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        return [id_text(ids)]
    return [each if type(each) is str else id_text(each, f"in row {row}") for row, each in enumerate(ids)]


def with_prefix(prefix: str, arrays: Arrays) -> dict[str, NDArray[np.generic]]:
    """Same arrays under ``prefix.name``."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def without_prefix(prefix: str, arrays: Arrays) -> dict[str, NDArray[np.generic]]:
    """Those arrays that `with_prefix` named, under their own names again."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def _are_equal(
    first: TextTable, places: NDArray[np.int32], second: TextTable, others: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Whether a text of one table is that of another, for each pair of places."""
    starts, other_starts = first.offsets[places], second.offsets[others]
    lengths = first.offsets[places + 1] - starts
    equal: NDArray[np.bool_] = lengths == second.offsets[others + 1] - other_starts
    longest = int(lengths.max(initial=0))
    for at in range(longest):  # a byte of every text at a time
        left = np.flatnonzero(equal & (lengths > at))
        equal[left] = first.data[starts[left] + at] == second.data[other_starts[left] + at]
    return equal


def _objects(ids: Iterable[object]) -> NDArray[np.object_]:
    listed = list(ids)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array


def _hash(encoded: bytes) -> int:
    # a keyed-quality digest, so that nobody can choose ids that all collide
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "little")


def _hashes(texts: TextTable) -> NDArray[np.uint64]:
    values = (_hash(texts.bytes_at(index)) for index in range(len(texts)))
    return np.fromiter(values, np.uint64, len(texts))
