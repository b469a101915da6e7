"""Key rotation: the API keys of a file, read again when the file changes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from deployments.env_secrets import FROM_FILE
from deployments.http.security import VARIABLE, Keys

logger = logging.getLogger("recommender.ingress")

LOOK_EVERY_S = 1.0

Stamp = tuple[int, int, int]
"""Inode, size and time of the last change of a file: one that was replaced has another."""


class RotatingKeys:
    """API keys that follow their file; those of an environment variable stay as they were at the start.

    A file that cannot be read, has no key or a malformed one changes nothing: the keys before go on, and the log says
    why. So nobody is locked out by half a file, and no service is opened by an empty one.

    Parameters
    ----------
    clock
        Seconds; the file is looked at once in `LOOK_EVERY_S` at most.

    Raises
    ------
    ValueError
        What is there at the start is malformed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        path = os.environ.get(VARIABLE + FROM_FILE)
        self._path = Path(path) if path else None
        self._stamp = self._look()
        self._keys = Keys.from_environment()
        self._looked_at = clock()

    def current(self) -> Keys:
        """Keys that count now."""
        if self._path is not None and self._clock() - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = self._clock()
            self._follow()
        return self._keys

    def _follow(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            keys = Keys.from_environment()
        except ValueError as error:
            logger.warning("the keys stay as they were: %s", error)
            return
        if self._keys and not keys:
            logger.warning("the keys stay as they were: the file that %s%s names has none", VARIABLE, FROM_FILE)
            return
        self._keys = keys
        logger.info("the keys were read again: %r", keys)

    def _look(self) -> Stamp | None:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
