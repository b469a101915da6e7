"""Logging: format, request ids and levels of what the service logs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextvars import ContextVar

ROOT = "recommender"

_PARENT = " "
"""Between the id of a request and its ``traceparent``; an id has no space."""

_request_ids: ContextVar[tuple[str, ...]] = ContextVar("request_ids", default=())


def configure() -> None:
    """Show our own lines from INFO on; Ray carries a process's standard error to the console of `serve run`."""
    logger = logging.getLogger(ROOT)
    if not logger.handlers:
        # not sys.stderr: in a replica that is Serve's own log, which keeps lines back until there are many
        handler = logging.StreamHandler(sys.__stderr__)
        handler.setFormatter(Lines("%(levelname)s %(asctime)s %(name)s -- %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def about(request_ids: Sequence[str]) -> None:
    """Say what requests this task works for from here on."""
    _request_ids.set(tuple(request_ids))


def request_ids() -> tuple[str, ...]:
    """Requests that this task works for, as they go on to other processes: several for a micro-batch.

    The id of one that is traced has its ``traceparent`` behind it, so that this goes wherever the id goes.
    """
    return _request_ids.get()


def with_trace_parent(request_id: str, trace_parent: str) -> str:
    """Id of a request that is traced, for `about`."""
    return f"{request_id}{_PARENT}{trace_parent}"


def named_requests() -> list[str]:
    """Ids of the requests that this task works for, as their callers know them."""
    return [each.partition(_PARENT)[0] for each in _request_ids.get()]


def trace_parents() -> list[str]:
    """W3C ``traceparent`` of each request among them that is traced."""
    return [each.partition(_PARENT)[2] for each in _request_ids.get() if _PARENT in each]


class Lines(logging.Formatter):
    """Lines that name the requests which a warning or an error is about, as ``[request_id=a,b]``."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name that logging calls)
        """First line of a record."""
        line, named = super().formatMessage(record), named_requests()
        return f"{line} [request_id={','.join(named)}]" if named and record.levelno >= logging.WARNING else line
