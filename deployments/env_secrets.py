"""Secrets: environment variables whose value may also lie in a file, and the names of keys."""

from __future__ import annotations

import os
from pathlib import Path

FROM_FILE = "_FILE"
SIGNING_KEY = "RECOMMENDER_SIGNING_KEY"
"""Variable of the key that signs versions."""
REQUIRE_SIGNED = "RECOMMENDER_REQUIRE_SIGNED"
"""Variable with the files of the public keys one of which must have signed a version."""


def required_keys() -> tuple[str, ...]:
    """Files of public keys that the environment names, with ``:`` between them; none where it names none."""
    return tuple(filter(None, os.environ.get(REQUIRE_SIGNED, "").split(":")))


def secret(variable: str) -> str:
    """Value of an environment variable, or content of the file that ``VARIABLE_FILE`` names; empty when neither is set.

    Raises
    ------
    ValueError
        Both are set, or the file cannot be read. The message has no secret.
    """
    path = os.environ.get(variable + FROM_FILE)
    value = os.environ.get(variable, "")
    if not path:
        return value
    if value:
        raise ValueError(f"set {variable} or {variable}{FROM_FILE}, not both")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file that {variable}{FROM_FILE} names cannot be read: {type(error).__name__}") from None
