"""Trace of a training: a span for all of it, and one for each phase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployments.telemetry import logs, tracing

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

TOLD = ("mode", "outcome", "version")
"""What a span has of how a training ended."""


class TrainingTrace:
    """Spans of a training, where tracing is configured; where a traced request asked for it, in that request's trace.

    Parameters
    ----------
    mode
        ``full`` or ``incremental``.
    """

    def __init__(self, mode: str) -> None:
        self._tracer = tracing.tracer()
        self._whole: Span | None = None
        self._phase: Span | None = None
        self._within: Context | None = None
        if self._tracer is not None:
            asked = next(iter(logs.trace_parents()), None)
            self._whole = self._tracer.start_span(f"train {mode}", tracing.context_of(asked))
            self._within = tracing.context_of(tracing.trace_parent_of(self._whole))

    def phase(self, name: str) -> None:
        """Begin a phase, which ends the one before it."""
        if self._phase is not None:
            self._phase.end()
        if self._tracer is not None:
            self._phase = self._tracer.start_span(name, self._within)

    def end(self, outcome: Mapping[str, Any]) -> None:
        """End the training, which has failed where its outcome says so."""
        for span in (self._phase, self._whole):
            if span is not None:
                if outcome["outcome"] == "failed":
                    tracing.fail(span, "TrainingFailed")
                span.set_attributes({f"recommender.{name}": outcome[name] for name in TOLD if name in outcome})
                span.end()
