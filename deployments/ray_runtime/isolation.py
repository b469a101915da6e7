"""Isolation: ports and a folder of its own for each service of a machine.

They give Ray's HAProxy and its fallback what no other service has: two that share the fallback's port answer with each
other's catalogue, and a folder that anybody can guess belongs to whoever makes it first.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator

USUAL_PORT = 8000
"""Of HTTP; the service that has it gets Ray's usual ports beside it, if nobody has them."""
PORTS = {
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": 8500,
    "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": 9500,
    "RAY_SERVE_HAPROXY_METRICS_PORT": 9101,
    "RAY_SERVE_HAPROXY_STATS_PORT": 8404,
}
REPLICAS_FROM, REPLICAS_TO, BLOCK = 30_000, 32_000, 100
"""Ports of replicas, in blocks, below those that the system gives away for a moment."""
FILES = {
    "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "haproxy.cfg",
    "RAY_SERVE_HAPROXY_SOCKET_PATH": "admin.sock",
    "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": "metrics.sock",
    "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "server-state",
}
FOLDER_OF_STATE = "RAY_SERVE_HAPROXY_SERVER_STATE_BASE"
PREFIX = "haproxy-"
MOST_LETTERS = 16
"""Of the folder that ours is in: a socket's path has at most 107, and Ray puts 56 of a node's id and a name behind."""


def folder() -> dict[str, str]:
    """Variables of a new folder that only this user can enter, whose name nobody could know before."""
    parents = (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp")  # noqa: S108 (made by mkdtemp)
    usable = [each for each in parents if each and len(each) <= MOST_LETTERS and os.access(each, os.W_OK)]
    if not usable:
        raise SystemExit(f"no folder for sockets, of at most {MOST_LETTERS} letters, can be written to; set TMPDIR")
    made = tempfile.mkdtemp(prefix=PREFIX, dir=usable[0])
    return {FOLDER_OF_STATE: made, **{name: f"{made}/{file}" for name, file in FILES.items()}}


def ports(http_port: int) -> dict[str, str]:
    """Variables of ports that nobody listens on; two services that start at once differ by that of HTTP."""
    away = http_port - USUAL_PORT
    taken = {http_port}
    found = {}
    for name, usual in PORTS.items():
        port = next(each for each in _from(usual + away) if each not in taken and is_free(each))
        taken.add(port)
        found[name] = str(port)
    blocks = range(REPLICAS_FROM, REPLICAS_TO, BLOCK)
    first = next(block for block in _turned(blocks, away) if all(map(is_free, range(block, block + 4))))
    found["RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"] = str(first)
    found["RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT"] = str(first + BLOCK - 1)
    return found


def is_free(port: int) -> bool:
    """Whether nobody listens on a port, on any address of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what lingers of an ended one does not matter
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True


def _from(port: int) -> Iterator[int]:
    """Ports that need no rights, from this one on, and round."""
    lowest, highest = 1_024, REPLICAS_FROM
    start = (port - lowest) % (highest - lowest)
    return (lowest + (start + step) % (highest - lowest) for step in range(highest - lowest))


def _turned(blocks: range, by: int) -> list[int]:
    start = by % len(blocks)
    return [*blocks[start:], *blocks[:start]]
