"""Signed versions on the command line: the keys that the environment names, as the service takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recommender.errors import InvalidDataError, UntrustedVersionError

if TYPE_CHECKING:
    from recommender.storage.registry import Artifact, Registry
    from recommender.storage.registry.trust import Trust


def trust_of_environment(accepted: Sequence[str] = (), *, with_key: bool = False) -> Trust:
    """Signing policy of ``RECOMMENDER_REQUIRE_SIGNED``, and of ``RECOMMENDER_SIGNING_KEY`` for those who publish.

    Parameters
    ----------
    accepted
        Files of public keys, in the place of those of the environment.
    with_key
        Whether something is going to be signed.

    Raises
    ------
    InvalidDataError
        A key cannot be read, or is none.
    """
    from deployments.env_secrets import SIGNING_KEY, required_keys, secret
    from recommender.storage.registry.trust import Trust

    try:
        key = secret(SIGNING_KEY) if with_key else ""
    except ValueError as error:
        raise InvalidDataError(str(error)) from error
    return Trust.of(key, accepted or required_keys())


def load_current(registry: Registry, where_none_is: str) -> tuple[str, Artifact]:
    """Version that serves, with its snapshot.

    Raises
    ------
    UntrustedVersionError
        There are versions, and one that is not signed as it has to be is why none can serve.
    InvalidDataError
        There is none; says `where_none_is`.
    """
    loaded = registry.load_current()
    if loaded is not None:
        return loaded
    for each in registry.versions():
        if each.refused:
            raise UntrustedVersionError(f"version {each.version} is refused: {each.refused}")
    raise InvalidDataError(where_none_is)
