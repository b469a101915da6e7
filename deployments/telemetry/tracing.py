"""Tracing: spans of requests across the stages, sent over OTLP by OpenTelemetry's batch processor.

A request is sampled where it comes in; its ``traceparent`` then goes with its id through micro-batches and to other
processes. A micro-batch works for several requests: each that is sampled gets a span of it, of the same begin and end.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Awaitable, Callable, Sequence, Sized
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from deployments.telemetry import logs, otlp

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

SCOPE = "lightfm-serve"
ERROR_TYPE = "error.type"
END_WITHIN_S = 2.0
"""What is not sent by then when a process ends is dropped: a collector that is away keeps no replica from ending."""

Stage = TypeVar("Stage")


@cache
def tracer() -> Tracer | None:
    """Tracer of this process; None where no traces are wanted, or none can go out.

    OpenTelemetry's own variables say where to, how many (``OTEL_TRACES_SAMPLER``) and how many wait (``OTEL_BSP_*``).
    """
    if not otlp.is_wanted("traces"):
        return None
    try:
        return _provider().get_tracer(SCOPE)
    except (ImportError, ValueError) as error:
        otlp.tell_missing("traces", error)
        return None


def traced(stage: Stage, **spans: str) -> Stage:
    """Make methods of a stage leave spans, where tracing is configured; else nothing is changed.

    Parameters
    ----------
    stage
        What works for requests that `logs.request_ids` names.
    spans
        Name of a span by the name of its asynchronous method.
    """
    found = tracer()
    if found is not None:
        for name, span in spans.items():
            setattr(stage, name, _recorded(found, span, getattr(stage, name)))
    return stage


def context_of(trace_parent: str | None, trace_state: str | None = None) -> Context:
    """OpenTelemetry's context of a W3C ``traceparent``; an empty one where it is malformed or None."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    given = {"traceparent": trace_parent, "tracestate": trace_state}
    carrier = {name: value for name, value in given.items() if value is not None}
    return TraceContextTextMapPropagator().extract(carrier)


def trace_parent_of(span: Span) -> str:
    """W3C ``traceparent`` that names a span as the parent."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def fail(span: Span, error: str) -> None:
    """Mark a span as failed by an error's type; its message may name users, and is in the log."""
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

    span.set_attribute(ERROR_TYPE, error)
    span.set_status(Status(StatusCode.ERROR))


def _provider() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    # not the global one, which is Ray's and MLflow's too
    provider = TracerProvider(resource=otlp.resource(), shutdown_on_exit=False)
    otlp.log_failures(OTLPSpanExporter.__module__)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    atexit.register(_end, provider)
    return provider


def _end(provider: TracerProvider) -> None:
    ending = threading.Thread(target=provider.shutdown, daemon=True)
    ending.start()
    ending.join(END_WITHIN_S)


def _recorded(tracer: Tracer, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def recorded(*arguments: Any, **named: Any) -> Any:
        parents = logs.trace_parents()
        if not parents:
            return await method(*arguments, **named)
        begin, error, answer = time.time_ns(), None, None
        try:
            answer = await method(*arguments, **named)
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            about = {"recommender.batch_size": _size(arguments), **_degraded(answer)}
            _record(tracer, name, parents, begin, about, error)
        return answer

    return recorded


def _record(
    tracer: Tracer, name: str, parents: Sequence[str], begin: int, about: dict[str, Any], error: str | None
) -> None:
    end = time.time_ns()
    for parent in parents:
        span = tracer.start_span(name, context_of(parent), attributes=about, start_time=begin)
        if error is not None:
            fail(span, error)
        span.end(end)


def _size(arguments: Sequence[Any]) -> int:
    return len(arguments[0]) if arguments and isinstance(arguments[0], Sized) else 1


def _degraded(answer: Any) -> dict[str, Any]:
    parts = getattr(answer, "degraded", None)
    return {"recommender.degraded": tuple(parts)} if parts else {}
