"""Replica setup: logging, priority and garbage collection of each process on the way of a request."""

from __future__ import annotations

import gc

from deployments.ray_runtime import ray_niceness
from deployments.telemetry import logs, otlp_metrics

COLLECT_AFTER = 5_000
"""Objects made and not freed before garbage is looked for. A request of the ingress leaves a hundred in cycles, so
that Python's own 700 has it looking a hundred times a second, for a tenth of the replica's time; a look after 20,000
halts it for up to 30 ms."""


def begin() -> None:
    """Show log lines, send metrics where this is configured, go before what only reports, look for garbage less often.

    To be called before a model is loaded: what exists now is never looked at again, nor freed where it is in a cycle.
    """
    logs.configure()
    otlp_metrics.begin()
    ray_niceness.give_way()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
