"""Assignment of users to the variants of an experiment: a hash, the same in the service and in its clients."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def variant_of(experiment: str, salt: str, unit: str, variants: Sequence[tuple[str, float]]) -> str:
    """Variant of a user.

    Parameters
    ----------
    experiment, salt
        Experiments of different names, or of another salt, split users independently of one another.
    unit
        Id of the user, else of the session.
    variants
        Name and share of each; the shares come to 1.

    Returns
    -------
    The first variant at which the shares up to it come above the user's point of [0, 1): the first 8 bytes of the
    SHA-256 of the three texts, with a zero byte between them, as a big-endian number over 2^64.

    Examples
    --------
    >>> variant_of("news", "", "196", [("control", 0.5), ("diverse", 0.5)])
    'diverse'
    """
    digest = sha256("\0".join((experiment, salt, unit)).encode()).digest()
    point = int.from_bytes(digest[:8]) / 2**64
    total = 0.0
    for name, share in variants:
        total += share
        if point < total:
            return name
    return variants[-1][0]
