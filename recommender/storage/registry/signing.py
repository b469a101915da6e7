"""Ed25519 signatures [1]_ of versions: the key that signs, and the keys whose signatures are accepted.

What is signed is a line of text with the SHA-256 of a manifest, so that other tools can verify it too.

References
----------
.. [1] S. Josefsson, I. Liusvaara, RFC 8032, Edwards-Curve Digital Signature Algorithm, 2017.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from recommender.errors import InvalidDataError, MissingExtraError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PEM = "-----BEGIN "


class Signature(msgspec.Struct, frozen=True):
    """Signature of a manifest.

    Parameters
    ----------
    key
        Fingerprint of the public key: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes.
    manifest_sha256
        SHA-256 of the manifest up to its signature, in hexadecimal digits.
    ed25519
        The signature itself, in hexadecimal digits, of `signed_text`.
    """

    key: str
    manifest_sha256: str
    ed25519: str


class NewKeys(NamedTuple):
    """A key that was just made, both halves as PEM."""

    private: str
    public: str
    fingerprint: str


class SigningKey:
    """Ed25519 private key that signs manifests.

    Parameters
    ----------
    pem
        PKCS #8 without a password, as ``openssl genpkey -algorithm ed25519`` writes it.

    Raises
    ------
    InvalidDataError
        It is none; the message has nothing of it.
    MissingExtraError
        The extra ``signing`` is not installed.
    """

    def __init__(self, pem: str) -> None:
        self._key = _private(pem)
        self.public = PublicKey(_public_pem(self._key.public_key()))

    def sign(self, manifest_sha256: str) -> Signature:
        """Sign the digest of a manifest."""
        value = self._key.sign(signed_text(manifest_sha256))
        return Signature(self.public.fingerprint, manifest_sha256, value.hex())


class PublicKey:
    """Ed25519 public key whose signatures are accepted.

    Parameters
    ----------
    pem
        SubjectPublicKeyInfo, as ``openssl pkey -pubout`` writes it.

    Raises
    ------
    InvalidDataError
        It is none.
    MissingExtraError
        The extra ``signing`` is not installed.
    """

    def __init__(self, pem: str) -> None:
        self.pem = pem
        self._key = _public(pem)
        self.fingerprint = hashlib.sha256(self._key.public_bytes_raw()).hexdigest()[:16]

    def has_signed(self, signature: Signature) -> bool:
        """Whether a signature is of this key."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 (an extra)

        try:
            self._key.verify(bytes.fromhex(signature.ed25519), signed_text(signature.manifest_sha256))
        except (InvalidSignature, ValueError):
            return False
        return True


def signed_text(manifest_sha256: str) -> bytes:
    """Bytes that a signature is of."""
    return f"lightfm-serve version, manifest sha256 {manifest_sha256}\n".encode()


def read_public_keys(given: Sequence[str | Path]) -> list[PublicKey]:
    """Public keys, each given as a file or as its PEM text.

    Raises
    ------
    InvalidDataError
        A file cannot be read, or holds no public key.
    """
    return [PublicKey(pem) for pem in public_key_texts(given)]


def public_key_texts(given: Sequence[str | Path]) -> list[str]:
    """PEM texts of public keys, each given as a file or as that text, which is what other machines can read.

    Raises
    ------
    InvalidDataError
        A file cannot be read.
    """
    return [str(each) if str(each).lstrip().startswith(PEM) else _text_of(Path(each)) for each in given]


def new_keys() -> NewKeys:
    """Make a key."""
    _require_extra()
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 (an extra)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 (an extra)

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = _public_pem(key.public_key())
    return NewKeys(private, public, PublicKey(public).fingerprint)


def write_keys(keys: NewKeys, private: Path) -> Path:
    """Write a key into a new file that only its owner can read, and its public half beside it; returns that file.

    Raises
    ------
    FileExistsError
        One of them is there: no key is overwritten.
    """
    public = private.with_name(f"{private.name}.pub")
    for path in (private, public):
        if path.exists():
            raise FileExistsError(f"{path} is there already; no key is overwritten")
    descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(keys.private)
    with public.open("x", encoding="ascii") as file:
        file.write(keys.public)
    return public


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDataError(f"the public key {path} cannot be read: {error}") from error


def _private(pem: str) -> Ed25519PrivateKey:
    _require_extra()
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 (an extra)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 (an extra)

    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise InvalidDataError(
            "the signing key is no private key in PEM without a password; make one: recommender signing keygen FILE"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidDataError("the signing key is not of Ed25519; make one: recommender signing keygen FILE")
    return key


def _public(pem: str) -> Ed25519PublicKey:
    _require_extra()
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 (an extra)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 (an extra)

    try:
        key = serialization.load_pem_public_key(pem.encode())
    except ValueError as error:
        raise InvalidDataError("a key of require_signed is no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidDataError("a key of require_signed is not of Ed25519")
    return key


def _public_pem(key: Ed25519PublicKey) -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 (an extra)

    encoded = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


def _require_extra() -> None:
    try:
        import cryptography  # noqa: F401, PLC0415 (an extra)
    except ImportError as error:
        raise MissingExtraError(f"for signed versions install lightfm-serve[signing]: {error}") from error
