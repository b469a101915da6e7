"""Health of a server: memory, persistence and eviction, and what of them endangers interactions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recommender.stores.protocols import StoreHealth

OLDEST_VERSION = (7, 0)
"""Of Redis, in which the scripts run; Valkey names one that it is compatible with."""


FILLING, FULL_SOON = 0.5, 0.75
"""Shares of the log and of the memory from which on there is a warning: what is full refuses writes."""


def read_health(
    info: Mapping[str, Any], latency_ms: float, log_length: int = 0, log_limit: int = 0, fault: str | None = None
) -> StoreHealth:
    """Health from the sections server, memory and persistence of INFO, from the log, and from who runs the server."""
    engine = "valkey" if "valkey_version" in info else "redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "unknown")
    used, limit = info.get("used_memory"), info.get("maxmemory") or None
    return StoreHealth(
        engine,
        version,
        round(latency_ms, 3),
        [*_warnings(info), *_filling(used or 0, limit, log_length, log_limit), *([fault] if fault else [])],
        used,
        limit,
        log_length,
        log_limit or None,
        fault,
    )


def _filling(used: int, limit: int | None, log_length: int, log_limit: int) -> list[str]:
    warnings = []
    if limit and used >= FULL_SOON * limit:
        warnings.append(
            f"{used / 2**30:.2f} of {limit / 2**30:.2f} GiB of its memory are used: when it is full nothing is taken; "
            "raise maxmemory (of the embedded store: args.store.max_memory_bytes)"
        )
    if log_limit and log_length >= FILLING * log_limit:
        warnings.append(
            f"the log holds {log_length} of at most {log_limit} interactions: when it is full nothing is taken; "
            "see last_training, and whether an older version is pinned"
        )
    return warnings


def _warnings(info: Mapping[str, Any]) -> list[str]:
    version = str(info.get("redis_version", "7.0"))
    policy = info.get("maxmemory_policy", "noeviction")
    dangers = {
        f"version {version} is older than 7.0": _numbers(version) < OLDEST_VERSION,
        f"maxmemory-policy is {policy}: interactions may be evicted; set noeviction": policy != "noeviction",
        "appendonly is off: interactions may be lost when the store dies": not info.get("aof_enabled", 1),
        "the last write to disk failed: nothing is taken until there is space": (
            info.get("aof_last_write_status", "ok") != "ok"
        ),
    }
    return [warning for warning, holds in dangers.items() if holds]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
