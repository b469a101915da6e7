"""Manifest: files, checksums, parent and status of a version, sealed by a checksum of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Literal

import msgspec

from recommender.errors import ArtifactError, CorruptArtifactError, NewerSchemaError
from recommender.storage import atomic_files
from recommender.storage.registry.safetensors_file import ArraySpec, FileEntry
from recommender.storage.registry.signing import Signature, SigningKey
from recommender.storage.registry.version_meta import VersionMeta

NAME = "manifest.json"
SCHEMA = 1
SOFTWARE = ("lightfm-serve", "lightfm-next", "numpy")

Status = Literal["ready", "rejected"]


class Manifest(msgspec.Struct, frozen=True):
    """``manifest.json`` of a version.

    The last key in the file is the SHA-256 of all that stands before it. It stays there in every schema,
    so that a newer version can be told from a damaged one. Before it stands the signature, where there is one, of all
    that stands before that.
    """

    schema: int
    version: str
    parent: str | None
    created_at: datetime
    status: Status
    reason: str | None
    software: dict[str, str]
    files: tuple[FileEntry, ...]
    arrays: dict[str, dict[str, ArraySpec]]
    meta: VersionMeta
    signature: Signature | None = None


class _Schema(msgspec.Struct):
    schema: int


def plain_meta(meta: VersionMeta) -> VersionMeta:
    """Same as it will be read back: lists for tuples, texts for keys.

    Raises
    ------
    ArtifactError
        It is not JSON, as a NaN or a numpy number is not.
    """
    try:
        return msgspec.json.decode(_encoded(meta), type=VersionMeta)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise ArtifactError(f"meta is not JSON: {error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a new manifest and wait until it is on disk."""
    with (folder / NAME).open("xb") as file:
        file.write(encoded_manifest(manifest))
        atomic_files.sync(file)


def encoded_manifest(manifest: Manifest) -> bytes:
    """Content of the file, with its signature and its seal."""
    body = _body(manifest) + _signature_text(manifest.signature)
    return body + _seal(body)


def sign_manifest(manifest: Manifest, key: SigningKey) -> Manifest:
    """Manifest with a signature of all that is in it: the version's name, and the SHA-256 of each of its files."""
    signature = key.sign(hashlib.sha256(_body(manifest)).hexdigest())
    return msgspec.structs.replace(manifest, signature=signature)


def read_manifest(folder: Path) -> Manifest:
    """Read and verify the manifest of the version in `folder`.

    Raises
    ------
    NewerSchemaError
        A newer release wrote it.
    CorruptArtifactError
        It is not what was written.
    """
    return parsed_manifest((folder / NAME).read_bytes, folder.name)


def parsed_manifest(read: Callable[[], bytes], version: str) -> Manifest:
    """Verify the manifest of a version that `read` gives.

    Raises
    ------
    NewerSchemaError
        A newer release wrote it.
    CorruptArtifactError
        It is not what was written, or not there.
    """
    label = f"{version}/{NAME}"
    try:
        raw = read()
        _require_seal(raw)
        _require_schema(raw, label)
        manifest = msgspec.json.decode(raw, type=Manifest)
        _require_own_signature(raw, manifest.signature)
    except FileNotFoundError as error:
        raise CorruptArtifactError(f"{label} is missing") from error
    except (ValueError, msgspec.MsgspecError) as error:
        raise CorruptArtifactError(f"{label}: {error}") from error
    if manifest.version != version:
        raise CorruptArtifactError(f"{label} is of version {manifest.version!r}")
    return manifest


def software() -> dict[str, str]:
    """Versions of what a model depends on."""
    return {name: _installed(name) for name in SOFTWARE}


def _installed(name: str) -> str:
    try:
        return installed(name)
    except PackageNotFoundError:  # a checkout on the path, or another build of LightFM
        return "unknown"


def _encoded(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1, default=_fields).encode()


def _fields(content: Any) -> dict[str, Any]:
    # msgspec would take no float of numpy's, and a date for a text
    if not isinstance(content, msgspec.Struct):
        raise TypeError(f"{type(content).__name__} is no JSON")
    return msgspec.structs.asdict(content)


def _body(manifest: Manifest) -> bytes:
    """What a signature is of."""
    content = msgspec.to_builtins(manifest)
    del content["signature"]
    return _encoded(content).removesuffix(b"\n}")


def _signature_text(signature: Signature | None) -> bytes:
    return b"" if signature is None else b',\n "signature": ' + msgspec.json.encode(signature)


def _seal(body: bytes) -> bytes:
    return f',\n "sha256": "{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode()


def _require_seal(raw: bytes) -> None:
    length = len(_seal(b""))
    if raw[-length:] != _seal(raw[:-length]):
        raise ValueError("it is not as it was written, its own sha256 says")


def _require_own_signature(raw: bytes, signature: Signature | None) -> None:
    """Check that a signature is of this manifest; by whom is another question."""
    if signature is None:
        return
    text = raw[: -len(_seal(b""))]
    signed = text.removesuffix(_signature_text(signature))
    if signed == text or hashlib.sha256(signed).hexdigest() != signature.manifest_sha256:
        raise ValueError("its signature is of another manifest")


def _require_schema(raw: bytes, label: str) -> None:
    schema = msgspec.json.decode(raw, type=_Schema).schema
    if schema > SCHEMA:
        raise NewerSchemaError(
            f"{label} has schema {schema}, this release reads up to {SCHEMA}: a newer release wrote it"
        )
