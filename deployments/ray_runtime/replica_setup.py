"""Replica setup: logging, priority and garbage collection of each process on the way of a request."""

from __future__ import annotations

import gc

from deployments.ray_runtime import ray_niceness
from deployments.telemetry import logs, otlp_metrics

COLLECT_AFTER = 5_000
"""Objects made and not freed before garbage is looked for. Requests leave nothing in cycles
(`tests/deployments/test_garbage.py`), so that looking finds little; Python's own 700 has it look at what is under way
again and again. Many more would have a process halt for long where something leaves cycles all the same."""


def begin() -> None:
    """Show log lines, send metrics where this is configured, go before what only reports, look for garbage less often.

    To be called before a model is loaded: what exists now is never looked at again, nor freed where it is in a cycle.
    """
    logs.configure()
    otlp_metrics.begin()
    ray_niceness.give_way()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
