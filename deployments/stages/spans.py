"""Spans of the two stages: what each is called in a trace, near and along the chain."""

from __future__ import annotations

from deployments.stages.answering import QueryAnswerer
from deployments.stages.fetching import UserFetcher
from deployments.telemetry.tracing import traced


def traced_fetcher(fetcher: UserFetcher) -> UserFetcher:
    """The fetching stage, whose round trips to the store are spans where tracing is configured."""
    return traced(fetcher, fetch="fetch users")


def traced_answerer(answerer: QueryAnswerer) -> QueryAnswerer:
    """The answering stage, whose answers are spans where tracing is configured."""
    return traced(answerer, recommend_many="recommend", answer="read")
