"""Ray's environment: the one place that holds the variables that make Ray Serve fast, quiet and closed to others.

``python -m deployments.ray_runtime.environment`` prints them, each as ``NAME=value``. The image repeats `SETTINGS` in
its ``ENV``, for nodes that KubeRay or Ray's launcher start; a test compares the two.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deployments.ray_runtime import isolation

SETTINGS: Mapping[str, str] = {
    # measured, the first five divide the processor time of a request by five to fifteen
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # in this mode replicas talk by gRPC, whose messages end at 4 MiB unless told otherwise: ten users with 1,000
    # explained items each are more
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(256 << 20),
    "RAY_worker_niceness": "0",
    "OMP_NUM_THREADS": "1",
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    # on a machine that is busy starting, HAProxy's manager takes longer than Ray's 5 s; killed then, nothing starts
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
    "RAY_metrics_report_interval_ms": "1000",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
HAPROXY = "RAY_SERVE_HAPROXY_BINARY_PATH"
DEAD_AFTER: Mapping[str, str] = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "5",
}
"""For the head of a cluster: a machine that falls silent is dead to Ray after 20 s instead of 65."""
BIN = Path(sys.executable).parent


def settings() -> dict[str, str]:
    """`SETTINGS`, and what Ray starts for HAProxy."""
    return {**SETTINGS, HAPROXY: str(haproxy_script())}


def haproxy_script() -> Path:
    """Executable that Ray starts for HAProxy: the module of a checkout, else the script that pip made of it."""
    module = Path(__file__).with_name("haproxy.py")
    return module if os.access(module, os.X_OK) else BIN / "recommender-haproxy"


def service_environment(http_port: int) -> dict[str, str]:
    """All variables of a service with a Ray of its own, whose ports and folder no other service has.

    Variables that are set already win; the commands of this Python's environment come first on PATH.
    """
    return {**_environment(isolation.ports(http_port)), "RAY_ADDRESS": "local"}


def node_environment(more: Mapping[str, str]) -> dict[str, str]:
    """All variables of a node of a cluster, with `more`; nodes ask each other for a token.

    The ports are Ray's own: they are known to the firewall and to Prometheus.
    """
    return {**_environment(more), "RAY_AUTH_MODE": "token"}


def missing() -> dict[str, str]:
    """Settings that this process runs without."""
    return {name: value for name, value in SETTINGS.items() if os.environ.get(name) != value}


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**settings(), **isolation.folder(), **more, **os.environ, "PATH": path}


if __name__ == "__main__":
    sys.stdout.write(" ".join(f"{name}={value}" for name, value in settings().items()) + "\n")
