"""Signing policy of a registry: the key that signs what is published, and those that count for what is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from recommender.errors import UntrustedVersionError
from recommender.storage.registry.manifest import Manifest, sign_manifest
from recommender.storage.registry.signing import PublicKey, SigningKey, read_public_keys


class Trust:
    """Signing policy; by default nothing is signed, and no signature is asked for.

    Parameters
    ----------
    key
        Signs what is published; None: it is left unsigned.
    accepted
        Keys one of which must have signed a version that is to be loaded; none: any version is.
    """

    def __init__(self, key: SigningKey | None = None, accepted: Sequence[PublicKey] = ()) -> None:
        self.key = key
        self.accepted = tuple(accepted)

    @classmethod
    def of(cls, key: str = "", accepted: Sequence[str] = ()) -> Trust:
        """Policy of texts: PEM of the key, where there is one, and PEM or files of the accepted ones.

        Raises
        ------
        InvalidDataError
            A file cannot be read, or something is no Ed25519 key.
        MissingExtraError
            The extra ``signing`` is not installed.
        """
        return cls(SigningKey(key) if key else None, read_public_keys(accepted))

    def refusal(self, manifest: Manifest) -> str | None:
        """Why a version is not loaded, in words; None: it may be."""
        return _refusal(manifest, self.accepted) if self.accepted else None

    def require(self, manifest: Manifest) -> Manifest:
        """The same manifest, of a version that may be loaded.

        Raises
        ------
        UntrustedVersionError
            It is not signed as it has to be; the message names version and reason.
        """
        if refusal := self.refusal(manifest):
            raise UntrustedVersionError(f"version {manifest.version} is refused: {refusal}")
        return manifest

    def signed(self, manifest: Manifest) -> Manifest:
        """A manifest with our signature, or without any."""
        unsigned = replace(manifest, signature=None)
        return unsigned if self.key is None else sign_manifest(unsigned, self.key)

    def signed_again(self, before: Manifest, manifest: Manifest) -> Manifest:
        """A manifest that takes the place of another: signed, if that one was, by a key that is accepted or our own."""
        ours = () if self.key is None else (self.key.public,)
        is_trusted = _refusal(before, self.accepted or ours) is None
        return self.signed(manifest) if is_trusted else replace(manifest, signature=None)


def _refusal(manifest: Manifest, accepted: Sequence[PublicKey]) -> str | None:
    signature = manifest.signature
    if signature is None:
        return "it is not signed"
    by_name = {key.fingerprint: key for key in accepted}
    if signature.key not in by_name:
        return f"it is signed with the key {signature.key}, and accepted are {', '.join(by_name) or 'none'}"
    if not by_name[signature.key].has_signed(signature):
        return f"its signature is not of the key {signature.key} that it names: it was altered"
    if unsigned := [entry.name for entry in manifest.files if entry.sha256 is None]:
        return f"its signature does not cover {', '.join(unsigned)}"
    return None
