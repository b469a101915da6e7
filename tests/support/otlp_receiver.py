"""OTLP receiver: takes OTLP over HTTP, as a collector does, and keeps what OpenTelemetry's own protobufs read there."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE_S = 60.0


class ReceivedSpan(NamedTuple):
    """A span, with ids in hexadecimal."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    begin: int
    end: int
    attributes: dict[str, Any]
    has_failed: bool
    resource: dict[str, Any]


class OtlpReceiver:
    """A server on this machine; `url` is for ``OTEL_EXPORTER_OTLP_ENDPOINT``."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.metrics: list[tuple[dict[str, Any], dict[str, Any]]] = []
        """Of each message the resource, and the metrics by name."""
        self.raw: list[bytes] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self.path, self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> OtlpReceiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for_spans(self, amount: int) -> list[ReceivedSpan]:
        """At least so many spans."""
        return self._wait_for(self.spans, amount)

    def wait_for_metrics(self, amount: int = 1) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """At least so many messages."""
        return self._wait_for(self.metrics, amount)

    def _wait_for(self, came: list[Any], amount: int) -> list[Any]:
        deadline = time.monotonic() + PATIENCE_S
        while len(came) < amount:
            assert time.monotonic() < deadline, f"{len(came)} of {amount} came: {came}"
            time.sleep(0.01)
        return came

    def _take(self, path: str, body: bytes) -> None:
        self.raw.append(body)
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                about = _plain(resource.resource.attributes)
                self.spans.extend(_received(span, about) for scope in resource.scope_spans for span in scope.spans)
        elif path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                found = {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}
                self.metrics.append((_plain(resource.resource.attributes), found))


def _received(span: Any, resource: dict[str, Any]) -> ReceivedSpan:
    ids = (each.hex() for each in (span.trace_id, span.span_id, span.parent_span_id))
    times = span.start_time_unix_nano, span.end_time_unix_nano
    has_failed = span.status.code == span.status.STATUS_CODE_ERROR
    return ReceivedSpan(span.name, span.kind, *ids, *times, _plain(span.attributes), has_failed, resource)


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(each) for each in value.array_value.values)
    return getattr(value, kind)
