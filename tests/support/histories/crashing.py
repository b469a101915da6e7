"""Deaths and full disks between two file operations of this process."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator

from tests.support.crash_points import OPERATIONS

GROWING = ("fsync", "open", "mkdir")
"""Operations that a full disk refuses."""


class Killed(BaseException):
    """The process has died here; as in a killed one, nothing that would clean up does anything."""


@contextlib.contextmanager
def failing(
    at: int, error: Callable[[], BaseException], operations: tuple[str, ...] = OPERATIONS
) -> Iterator[list[int]]:
    """From file operation number `at` on, each one fails; gives the number of those that were asked for."""
    calls = [0]
    real = {name: getattr(os, name) for name in operations}

    def wrapped(name: str) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            calls[0] += 1
            if calls[0] > at:
                raise error()
            return real[name](*arguments, **named)

        return call

    for name in operations:
        setattr(os, name, wrapped(name))
    try:
        yield calls
    finally:
        for name, operation in real.items():
            setattr(os, name, operation)


def no_space() -> OSError:
    """What a full disk says."""
    return OSError(errno.ENOSPC, "No space left on device")
