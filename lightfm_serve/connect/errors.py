"""Errors of the stream connector."""

from __future__ import annotations

from recommender.errors import RecommenderError


class StreamError(RecommenderError):
    """A stream cannot be read, or not as it was asked for; the message says what to do."""


class InterruptedDelivery(Exception):  # noqa: N818 (it is no error: somebody wants to stop)
    """Somebody wants to stop while records are under way; they stay uncommitted, and come again."""
