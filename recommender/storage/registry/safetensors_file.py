"""safetensors files: named arrays, written and read without pickle.

The format is written and read here. The ``safetensors`` package, which only the tests need, copies all arrays where
this copies none: a file is hashed while it is written, and read once, into the memory that its arrays then share.
That memory is never a map of the file: a mapped file that somebody truncates kills the process.

The hash guards against disks, not against people: who can change a file can change its manifest too. So it
is XXH3 [1]_, at the speed of memory; sha256 took two thirds of the time until a new version served. A version that is
signed has both: XXH3 is no hash for which nobody finds a second content.

References
----------
.. [1] Y. Collet, xxHash, https://xxhash.com.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from recommender.errors import ArtifactError, CorruptArtifactError
from recommender.storage import atomic_files

Arrays = Mapping[str, NDArray[Any]]

CHUNK_BYTES = 8 << 20
ALIGNMENT = 8
DTYPES = {
    "bool": "BOOL",
    "int8": "I8",
    "uint8": "U8",
    "int16": "I16",
    "uint16": "U16",
    "float16": "F16",
    "int32": "I32",
    "uint32": "U32",
    "float32": "F32",
    "int64": "I64",
    "uint64": "U64",
    "float64": "F64",
}
"""What safetensors calls the dtypes of numpy."""


class FileEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file as it was written."""

    name: str
    bytes: int
    xxh3_128: str
    sha256: str | None = None
    """Where the version is signed."""


class ArraySpec(msgspec.Struct, frozen=True):
    """An array as it was written; `dtype` as numpy names it."""

    dtype: str
    shape: tuple[int, ...]


class _Header(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def specs_of(arrays: Arrays) -> dict[str, ArraySpec]:
    """Dtype and shape of each.

    Raises
    ------
    ArtifactError
        One is of a dtype that safetensors does not know.
    """
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ArtifactError(f"array {name!r} is of dtype {array.dtype}, which cannot be stored")
    return {name: ArraySpec(array.dtype.name, array.shape) for name, array in arrays.items()}


def write_arrays(path: Path, arrays: Arrays, *, with_sha256: bool = False) -> FileEntry:
    """Write a new file and wait until it is on disk."""
    digest, sha256 = xxhash.xxh3_128(), hashlib.sha256()
    with path.open("xb") as file:
        for chunk in _chunks(arrays):
            digest.update(chunk)
            if with_sha256:
                sha256.update(chunk)
            file.write(chunk)
        atomic_files.sync(file)
        return FileEntry(path.name, file.tell(), digest.hexdigest(), sha256.hexdigest() if with_sha256 else None)


def sha256_of(path: Path, entry: FileEntry) -> str:
    """SHA-256 of a file that must be as `entry` says.

    Raises
    ------
    CorruptArtifactError
        It is not.
    """
    return hashlib.sha256(_content(path, entry).data).hexdigest()


def read_arrays(path: Path, entry: FileEntry, specs: Mapping[str, ArraySpec]) -> dict[str, NDArray[Any]]:
    """Read a file that must be as `entry` and `specs` say. The arrays are read-only and share its memory.

    Raises
    ------
    CorruptArtifactError
        It is not.
    """
    content = _content(path, entry)
    try:
        headers, data = _parsed(content)
        found = {name: ArraySpec(_numpy_name(each.dtype), each.shape) for name, each in headers.items()}
        if found != specs:
            raise CorruptArtifactError(f"{_label(path)}: dtypes and shapes are not those in the manifest")
        return {name: _view(data, headers[name], spec) for name, spec in specs.items()}
    except (ValueError, msgspec.MsgspecError) as error:
        raise CorruptArtifactError(f"{_label(path)}: {error}") from error


def require_size(path: Path, entry: FileEntry) -> None:
    """Check that a file is there and as long as it was written.

    Raises
    ------
    CorruptArtifactError
        It is not.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise CorruptArtifactError(f"{_label(path)} is missing") from error
    if size != entry.bytes:
        raise CorruptArtifactError(f"{_label(path)} is of {size} bytes, not of {entry.bytes}")


def non_finite(arrays: Arrays) -> list[str]:
    """Names of those that hold a NaN or an infinity."""
    return [name for name, array in arrays.items() if array.dtype.kind == "f" and not _is_finite(array)]


def _is_finite(array: NDArray[Any]) -> bool:
    # both carry a NaN along, and neither needs memory, as isfinite(array) would
    return array.size == 0 or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _chunks(arrays: Arrays) -> Iterator[bytes | memoryview]:
    # widest first, so that each array begins at a multiple of its item size
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0]))
    yield _encoded_header(ordered)
    for _, array in ordered:
        flat = _little_endian(array).reshape(-1).view(np.uint8)
        for start in range(0, len(flat), CHUNK_BYTES):
            yield flat[start : start + CHUNK_BYTES].data


def _encoded_header(ordered: list[tuple[str, NDArray[Any]]]) -> bytes:
    header, end = {}, 0
    for name, array in ordered:
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": DTYPES[array.dtype.name],
            "shape": array.shape,
            "data_offsets": (start, end),
        }
    encoded = json.dumps(header, separators=(",", ":")).encode()
    padded = encoded.ljust(math.ceil(len(encoded) / ALIGNMENT) * ALIGNMENT)
    return len(padded).to_bytes(8, "little") + padded


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    # copies only what is strided or big-endian; ascontiguousarray would give a scalar a dimension
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def _content(path: Path, entry: FileEntry) -> NDArray[np.uint8]:
    require_size(path, entry)
    content = np.empty(entry.bytes, np.uint8)
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        for start in range(0, entry.bytes, CHUNK_BYTES):
            chunk = content[start : start + CHUNK_BYTES]
            # a file that shrank meanwhile leaves a chunk half read, and the digest says so
            file.readinto(chunk.data)
            digest.update(chunk.data)
    if digest.hexdigest() != entry.xxh3_128:
        raise CorruptArtifactError(f"{_label(path)} has another xxh3_128 than when it was written")
    if entry.sha256 is not None and hashlib.sha256(content.data).hexdigest() != entry.sha256:
        raise CorruptArtifactError(f"{_label(path)} has another sha256 than when it was signed")
    content.flags.writeable = False
    return content


def _parsed(content: NDArray[np.uint8]) -> tuple[dict[str, _Header], NDArray[np.uint8]]:
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    headers = msgspec.json.decode(content[8:start].tobytes(), type=dict[str, _Header])
    return headers, content[start:]


def _numpy_name(dtype: str) -> str:
    for numpy_name, name in DTYPES.items():
        if name == dtype:
            return numpy_name
    raise ValueError(f"dtype {dtype!r} is not known")


def _view(data: NDArray[np.uint8], header: _Header, spec: ArraySpec) -> NDArray[Any]:
    start, end = header.data_offsets
    return data[start:end].view(np.dtype(spec.dtype).newbyteorder("<")).reshape(spec.shape)


def _label(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
