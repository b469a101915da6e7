"""OTLP: whether and where OpenTelemetry's signals go, and whose they are; standard environment variables say so [1]_.

Nothing of OpenTelemetry is imported where none of them is set.

References
----------
.. [1] OpenTelemetry specification, "OpenTelemetry Protocol Exporter" and "Environment Variable Specification".
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import time
from typing import TYPE_CHECKING, Literal

from ray import serve
from ray.serve.exceptions import RayServeException

from deployments.telemetry import logs

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

Signal = Literal["traces", "metrics"]

SERVICE = "lightfm-serve"
TOLD_EVERY_S = 60.0

logger = logging.getLogger("recommender.telemetry")


def is_wanted(signal: Signal) -> bool:
    """Whether the environment names an endpoint for a signal, and does not switch it off."""
    name = signal.upper()
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if os.environ.get(f"OTEL_{name}_EXPORTER", "otlp").strip().lower() == "none":
        return False
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{name}_ENDPOINT")
    return any(os.environ.get(endpoint) for endpoint in endpoints)


def tell_missing(signal: Signal, error: Exception) -> None:
    """Log that a signal that is wanted does not go out, and why: serving goes on without."""
    logger.warning(
        "no %s go out: %s; they need `pip install 'lightfm-serve[otlp]'` and OTEL_* variables that OpenTelemetry reads",
        signal,
        error,
    )


def resource() -> Resource:
    """Who this process is: the service, its version, deployment and replica; what the environment says of it wins."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415 (where it is configured)

    own = {"service.name": SERVICE, "service.version": importlib.metadata.version(SERVICE)}
    return Resource({**own, **_replica()}).merge(OTELResourceDetector().detect())


def log_failures(module: str) -> None:
    """Have an exporter's failures in our log, one a minute: each batch that is not taken is one, or several."""
    exporter = logging.getLogger(module)
    exporter.addFilter(_OneAMinute())
    for handler in logging.getLogger(logs.ROOT).handlers:
        exporter.addHandler(handler)


class _OneAMinute(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._next_at = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown."""
        now = time.monotonic()
        if now < self._next_at or record.levelno < logging.WARNING:
            return False
        self._next_at = now + TOLD_EVERY_S
        return True


def _replica() -> dict[str, str]:
    try:
        context = serve.get_replica_context()
    except RayServeException:  # in a test, a notebook: none of Serve's
        return {}
    return {"service.instance.id": context.replica_tag, "recommender.deployment": context.deployment}
