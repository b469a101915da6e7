"""Five times more requests than the service can answer: what it still answers, and how it refuses the rest.

``python -m benchmarks.overload [SECONDS]`` starts a service of its own. Open loop: a request is sent when it
is due, whatever became of those before it, as strangers on the internet do.
"""

from __future__ import annotations

import contextlib
import json
import platform
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import measure
from benchmarks.service import PORT, Service

TIMES, CONNECTIONS, CLOSED = 5, 512, 64
MOST_AT_ONCE, PATIENCE_S = 200, 10.0
RESULTS = Path(__file__).parent / "results" / "overload.json"


class Seen(NamedTuple):
    """One answer; status 0 when the connection broke."""

    at: float
    status: int
    ms: float


def path(number: int) -> str:
    """Of the n-th request."""
    return f"/v1/users/u{number % 1000}/recommendations?k=10"


def _open_loop(per_s: float, seconds: float) -> tuple[list[Seen], int]:
    """Answers, and how many requests found no free connection of ours.

    Plain sockets and one selector: a client that needs more of the processor than the service measures itself.
    """
    selector = selectors.DefaultSelector()
    free = [_connect(selector) for _ in range(CONNECTIONS)]
    seen: list[Seen] = []
    unsent = sent = 0
    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + seconds or len(free) < CONNECTIONS:
        # what was missed while this process did not get to run is left out, not sent in one burst
        due = min(int(max(0.0, min(now - begin, seconds)) * per_s) - sent - unsent, MOST_AT_ONCE)
        for _ in range(due):
            if free:
                free.pop().send(sent)
                sent += 1
            else:
                unsent += 1
        if due == MOST_AT_ONCE:
            unsent = int((now - begin) * per_s) - sent
        for key, _ in selector.select(0.001):
            answered = key.data.receive()
            if answered is not None:
                seen.append(answered)
                free.append(key.data if answered.status else _reconnected(selector, key))
        if now > begin + seconds + PATIENCE_S:
            break
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]  # sockets, all of them
    selector.close()
    return seen, unsent


class _Link:
    """One connection, with at most one request under way."""

    def __init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", PORT))
        self._begin, self._read = 0.0, b""

    def send(self, number: int) -> None:
        """Ask."""
        self._begin, self._read = time.perf_counter(), b""
        with contextlib.suppress(OSError):
            self.socket.send(f"GET {path(number)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def receive(self) -> Seen | None:
        """Read what is there; the answer once it is whole."""
        try:
            part = self.socket.recv(65_536)
        except OSError:
            part = b""
        self._read += part
        head, end, body = self._read.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
        # Serve's own refusals come in chunks
        is_whole = len(body) >= int(length) if length else body.endswith(b"0\r\n\r\n")
        now = time.perf_counter()
        if not part:
            return Seen(now, 0, (now - self._begin) * 1e3)
        if not end or not is_whole:
            return None
        return Seen(now, int(head[9:12]), (now - self._begin) * 1e3)


def _connect(selector: selectors.BaseSelector) -> _Link:
    link = _Link()
    selector.register(link.socket, selectors.EVENT_READ, link)
    return link


def _reconnected(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> _Link:
    selector.unregister(key.fileobj)
    key.data.socket.close()
    return _connect(selector)


def _percentiles(seen: list[Seen]) -> dict[str, float]:
    if len(seen) < 2:
        return {}
    cuts = statistics.quantiles([each.ms for each in seen], n=100)
    return {"p50_ms": round(cuts[49], 1), "p99_ms": round(cuts[98], 1)}


def run(seconds: float) -> dict[str, object]:
    """Measure against the service on this port."""
    measure(PORT, path, CLOSED, 3)  # warm
    before = measure(PORT, path, CLOSED, 5)
    quiet = measure(PORT, path, 4, 3)
    seen, unsent = _open_loop(TIMES * before.requests_per_s, seconds)
    after = [measure(PORT, path, 4, 1) for _ in range(5)]
    good = [each for each in seen if each.status == 200]
    refused = [each for each in seen if each.status == 503]
    back_s = next((n for n, each in enumerate(after) if each.p50_ms < 2 * quiet.p50_ms and not each.failed), None)
    return {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "capacity_per_s": round(before.requests_per_s),
        "quiet_p99_ms": round(quiet.p99_ms, 1),
        "offered_per_s": round(TIMES * before.requests_per_s),
        "seconds": seconds,
        "statuses": dict(Counter(each.status for each in seen)),
        "no_free_connection": unsent,
        "goodput": round(len(good) / seconds / before.requests_per_s, 3),
        "answered": _percentiles(good),
        "refused": _percentiles(refused),
        "normal_again_after_s": back_s,
    }


def main() -> None:
    """Start a service, overload it, write down what was seen."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    args = {"dataset": "synthetic?n_users=1000&n_items=1000", "training": {"incremental_every_s": None}}
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), args):
        found = run(seconds)
    print(json.dumps(found, indent=2))
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
