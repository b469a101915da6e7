"""Which way requests go: how many HAProxy sent to the replicas, and how many to Ray's Python proxy in their place."""

import csv
import threading

import httpx

LOOK_EVERY_S = 0.2


class Ways:
    """Counts while its block runs. Ray starts HAProxy anew all the time, and each counts from zero."""

    def __init__(self, stats_port: str) -> None:
        self.to_replicas = 0
        self.to_python = 0
        self._url = f"http://127.0.0.1:{stats_port}/stats;csv"
        self._last: dict[str, int] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Ways":
        self._look()
        self.to_replicas = self.to_python = 0  # what was before
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            self._look()

    def _look(self) -> None:
        try:
            text = httpx.get(self._url, timeout=5).text
        except httpx.TransportError:  # between two of them
            return
        for row in csv.DictReader(text.removeprefix("# ").splitlines()):
            name = row["svname"]
            if not row["pxname"].startswith("http-") or name in {"FRONTEND", "BACKEND"}:
                continue
            now, last = int(row["stot"]), self._last.get(name, 0)
            grown = now - last if now >= last else now
            self._last[name] = now
            if "fallback" in name:
                self.to_python += grown
            else:
                self.to_replicas += grown
