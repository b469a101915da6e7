"""Five times more requests than the service can answer: what it still answers, and how it refuses the rest.

``python -m benchmarks.service.overload [SECONDS]`` starts a service of its own. Open loop: a request is sent when it
is due, whatever became of those before it, as strangers on the internet do. The same client measures capacity,
before and after, so that what it takes of the processors (about 25 µs a request) counts on both sides.
"""

from __future__ import annotations

import http.client
import json
import math
import platform
import select
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import process_tree
from benchmarks.harness.http_load import measure
from benchmarks.harness.service_process import PORT, Service

TIMES, CONNECTIONS, CLOSED, CAPACITY_S = 5, 512, 60, 10
PATIENCE_S, LOOK_EVERY_S = 10.0, 5.0
ALWAYS_ANSWERED = ("/healthz", "/readyz", "/v1/status")
RESULTS = Path(__file__).parents[1] / "results" / "overload.json"


class Seen(NamedTuple):
    """One answer; status 0 when the connection broke."""

    after_s: float
    status: int
    ms: float


class Link:
    """One connection, with at most one request under way."""

    def __init__(self, epoll: select.epoll) -> None:
        self.socket = socket.create_connection(("127.0.0.1", PORT))
        self.socket.setblocking(False)
        self.begun, self._read = 0.0, b""
        epoll.register(self.socket, select.EPOLLIN)

    def send(self, number: int, due: float) -> None:
        """Ask."""
        self.begun = due
        with suppress(OSError):
            self.socket.send(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path(number).encode())

    def status(self) -> int | None:
        """Read what is there; the status once the answer is whole."""
        try:
            part = self.socket.recv(65_536)
        except OSError:
            part = b""
        self._read += part
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not part:
            return 0
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
        if not end or len(body) < int(length or 0):
            return None
        self._read = b""
        return int(head[9:12])


def path(number: int) -> str:
    """Of the n-th request."""
    return f"/v1/users/u{number % 1000}/recommendations?k=10"


def offer(connections: int, seconds: float, per_s: float = math.inf) -> tuple[list[Seen], int]:
    """Answers, and how many requests found no free connection of ours.

    Parameters
    ----------
    per_s
        Requests become due at this rate; without one, as soon as a connection is free.
    """
    epoll = select.epoll()
    links = {link.socket.fileno(): link for link in (Link(epoll) for _ in range(connections))}
    free, seen, sent, unsent = list(links.values()), [], 0, 0
    begin = time.perf_counter()
    while (now := time.perf_counter() - begin) < seconds or (len(free) < connections and now < seconds + PATIENCE_S):
        if now < seconds:
            wanted = sent + len(free) if per_s == math.inf else int(now * per_s)
            for _ in range(min(wanted - sent - unsent, len(free))):
                free.pop().send(sent, now)
                sent += 1
            unsent = wanted - sent
        for descriptor, _ in epoll.poll(0.001):
            link = links[descriptor]
            status = link.status()
            if status is None:
                continue
            after_s = time.perf_counter() - begin
            seen.append(Seen(after_s, status, (after_s - link.begun) * 1e3))
            free.append(link if status else _reopened(epoll, links, descriptor))
    for link in links.values():
        link.socket.close()
    epoll.close()
    return seen, unsent


def _reopened(epoll: select.epoll, links: dict[int, Link], descriptor: int) -> Link:
    links.pop(descriptor).socket.close()
    link = Link(epoll)
    links[link.socket.fileno()] = link
    return link


class Beside(NamedTuple):
    """What was seen meanwhile by somebody else."""

    probes: list[Seen]
    pss_mb: list[int]


@contextmanager
def looked_after() -> Iterator[Beside]:
    """Probes and memory every few seconds, as those who run a service look at it."""
    found, ended, begin = Beside([], []), threading.Event(), time.perf_counter()

    def look() -> None:
        while not ended.wait(LOOK_EVERY_S):
            found.pss_mb.append(process_tree.resources()["pss_mb"])
            for probe in ALWAYS_ANSWERED:
                asked = time.perf_counter()
                status = _status(probe)
                found.probes.append(Seen(asked - begin, status, (time.perf_counter() - asked) * 1e3))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def _status(probe: str) -> int:
    link = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE_S)
    try:
        link.request("GET", probe)
        return link.getresponse().status
    except OSError:
        return 0
    finally:
        link.close()


def _percentiles(seen: list[Seen]) -> dict[str, float]:
    ordered = sorted(each.ms for each in seen)
    return {f"p{p}_ms": round(ordered[int(p / 100 * (len(ordered) - 1))], 1) for p in (50, 99)} if seen else {}


def _good_per_s(seen: list[Seen], seconds: float) -> float:
    return sum(each.status == 200 and each.after_s <= seconds for each in seen) / seconds


def run(seconds: float) -> dict[str, object]:
    """Measure against the service on this port."""
    offer(CLOSED, 3)  # warm
    quiet = measure(PORT, path, 4, 3)
    before = _good_per_s(offer(CLOSED, CAPACITY_S)[0], CAPACITY_S)
    idle_mb = process_tree.resources()["pss_mb"]
    with looked_after() as beside:
        seen, unsent = offer(CONNECTIONS, seconds, TIMES * before)
    after = [measure(PORT, path, 4, 1) for _ in range(5)]
    again = _good_per_s(offer(CLOSED, CAPACITY_S)[0], CAPACITY_S)
    good = [each for each in seen if each.status == 200]
    back_s = next((n for n, each in enumerate(after) if each.p50_ms < 2 * quiet.p50_ms and not each.failed), None)
    return {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "capacity_before_per_s": round(before),
        "capacity_after_per_s": round(again),
        "capacity": _percentiles(offer(CLOSED, 3)[0]),
        "offered_per_s": round(TIMES * before),
        "seconds": seconds,
        "statuses": dict(Counter(each.status for each in seen)),
        "no_free_connection": unsent,
        "goodput_per_s": round(_good_per_s(seen, seconds)),
        "goodput": round(_good_per_s(seen, seconds) / ((before + again) / 2), 3),
        "answered": _percentiles(good),
        "refused": _percentiles([each for each in seen if each.status == 503]),
        "health_and_status": {
            "statuses": dict(Counter(each.status for each in beside.probes)),
            **_percentiles(beside.probes),
        },
        "pss_mb_before": idle_mb,
        "pss_mb": beside.pss_mb,
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
