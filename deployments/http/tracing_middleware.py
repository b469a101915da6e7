"""Tracing middleware: the server span of each request, which continues the trace of a ``traceparent`` [1]_.

References
----------
.. [1] W3C Recommendation, "Trace Context", 2021.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.http.request_metrics import method_of, route_of
from deployments.http.security import header
from deployments.telemetry import logs, tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines."""
FAILED_FROM = 500


def traced(app: ASGIApp) -> ASGIApp:
    """What comes behind, with a `TracingMiddleware` before it where tracing is configured; else as it is."""
    tracer = tracing.tracer()
    return app if tracer is None else TracingMiddleware(app, tracer)


class TracingMiddleware:
    """Middleware that opens a span for each request that is sampled, and gives it to all that works for the request.

    The span has the route, not the path, which has ids of users in it. It is opened behind the request's id and before
    the caller is checked, so that refusals are seen too.

    Parameters
    ----------
    app
        What comes behind.
    tracer
        Of this process.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 (where it is configured)

        self._app, self._tracer, self._kind = app, tracer, SpanKind.SERVER

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        context = tracing.context_of(header(scope["headers"], b"traceparent"), header(scope["headers"], b"tracestate"))
        span = self._tracer.start_span(method_of(scope), context, self._kind)
        if span.is_recording():
            await self._traced(span, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _traced(self, span: Span, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                _tell_status(span, message["status"])
            await send(message)

        [request_id] = logs.named_requests()
        span.set_attribute("recommender.request_id", request_id)
        logs.about([logs.with_trace_parent(request_id, tracing.trace_parent_of(span))])
        try:
            await self._app(scope, receive, watched)
        except BaseException as error:
            tracing.fail(span, type(error).__name__)
            raise
        finally:
            _tell_route(span, method_of(scope), route_of(scope))
            span.end()


def _tell_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= FAILED_FROM:
        tracing.fail(span, str(status))


def _tell_route(span: Span, method: str, route: str) -> None:
    span.set_attributes({"http.request.method": method, "http.route": route})
    span.update_name(f"{method} {route}")
