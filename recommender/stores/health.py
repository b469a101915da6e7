"""What a server says of itself, and what of it is a danger to interactions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recommender.stores.base import StoreHealth

OLDEST_VERSION = (7, 0)
"""Of Redis, in which the scripts run; Valkey names one that it is compatible with."""


def read_health(info: Mapping[str, Any], latency_ms: float) -> StoreHealth:
    """Health from the sections server, memory and persistence of INFO."""
    engine = "valkey" if "valkey_version" in info else "redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "unknown")
    return StoreHealth(engine, version, round(latency_ms, 3), _warnings(info))


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
