"""The processes that one process started, and what they hold."""

from __future__ import annotations

import os
import time
from pathlib import Path


def pids(root: int | None = None) -> list[int]:
    """All that came from a process; this one when none is named."""
    root, parents = root or os.getpid(), {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {root}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {root})


def called(title: bytes, root: int | None = None) -> list[int]:
    """Those whose command has a title in it."""
    return [pid for pid in pids(root) if title in command(pid)]


def command(pid: int) -> bytes:
    """Command of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def memory_kib(pid: int) -> dict[str, int]:
    """KiB of a process, by kind; empty when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def private_kib(memory: dict[str, int]) -> int:
    """What it shares with no other process; the object store is never among it, its node's raylet maps that too."""
    return memory["Private_Dirty"] + memory["Private_Clean"]


def processor_s(pid: int) -> float:
    """Processor time in seconds that a process has had so far; 0 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_idle(most_cores: float = 0.6, within_s: float = 180, every_s: float = 0.5) -> None:
    """Wait until nothing that came from this process works on what others have stopped waiting for.

    A slow server goes on with the requests that it has queued, and takes the time of the one that is asked next.
    """
    deadline = time.monotonic() + within_s
    had, busy = sum(map(processor_s, pids())), most_cores + 1
    while busy > most_cores:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{busy:.1f} cores are still busy after {within_s:.0f} s")
        time.sleep(every_s)
        now = sum(map(processor_s, pids()))
        had, busy = now, max(0.0, now - had) / every_s


def resources() -> dict[str, int]:
    """Sums over all that came from this process: proportional memory, descriptors, threads."""
    found = {"pss_mb": 0, "descriptors": 0, "threads": 0}
    for pid in pids():
        try:
            found["pss_mb"] += memory_kib(pid).get("Pss", 0) // 1024
            found["descriptors"] += len(list(Path(f"/proc/{pid}/fd").iterdir()))
            found["threads"] += len(list(Path(f"/proc/{pid}/task").iterdir()))
        except OSError:
            continue
    return found
