"""A store that does not answer for a while."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.running_service import RunningService, children_of, words


@contextmanager
def without_store(service: RunningService) -> Iterator[None]:
    """Stop the store for a moment: it does not answer, and nothing is lost."""
    found = [pid for pid in children_of(service.process.pid) if b"valkey-server" in words(pid)]
    assert found
    for pid in found:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in found:
            os.kill(pid, signal.SIGCONT)
