"""Metrics server: ``/metrics`` for Prometheus and ``/healthz``, in a thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from lightfm_serve.connect.errors import StreamError
from lightfm_serve.connect.meters import Meters


@contextmanager
def serving_metrics(meters: Meters, host: str, port: int) -> Iterator[int]:
    """Serve metrics for the length of a block, and give the port; 0 takes a free one.

    Raises
    ------
    StreamError
        The port cannot be had.
    """
    try:
        server = ThreadingHTTPServer((host, port), _handler(meters))
    except OSError as error:
        raise StreamError(f"metrics cannot be served on {host}:{port}: {error}; name another --metrics-port") from None
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(meters: Meters) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(meters.registry))
            elif self.path == "/healthz":
                healthy, said = meters.health()
                self._answer(200 if healthy else 503, "application/json", json.dumps(said).encode())
            else:
                self._answer(404, "text/plain", b"there are /metrics and /healthz\n")

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing: a scrape is no news."""

    return Handler
