"""The processes of a service that this process started, and what they hold."""

from __future__ import annotations

import os
from pathlib import Path


def pids() -> list[int]:
    """All that came from this process."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


def called(title: bytes) -> list[int]:
    """Those whose command has a title in it."""
    return [pid for pid in pids() if title in _command(pid)]


def resources() -> dict[str, int]:
    """Sums over all of them: proportional memory, descriptors, threads."""
    found = {"pss_mb": 0, "descriptors": 0, "threads": 0}
    for pid in pids():
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found["pss_mb"] += int(rollup.partition("Pss:")[2].split()[0]) // 1024
            found["descriptors"] += len(list(Path(f"/proc/{pid}/fd").iterdir()))
            found["threads"] += len(list(Path(f"/proc/{pid}/task").iterdir()))
        except (OSError, IndexError):
            continue
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
