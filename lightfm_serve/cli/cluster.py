"""Commands for a Ray cluster on machines of one's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import click

from lightfm_serve.cli.serve import config_argument


@click.group()
def cluster() -> None:
    """Run the service on several machines: start a head, join it, deploy."""


@cluster.command()
@click.option("--port", type=click.IntRange(1, 65_535), default=6399, show_default=True, help="That nodes join.")
def head(port: int) -> None:
    """Start the first node of a cluster here; nodes join its port.

    The token that every node and every operator needs is in ~/.ray/auth_token. With RAY_REDIS_ADDRESS set, Ray keeps
    in that Redis what it knows of the cluster, which then outlives the death of its head.
    """
    from deployments.ray_runtime.environment import BIN, DEAD_AFTER

    os.umask(0o077)
    subprocess.run([str(BIN / "ray"), "get-auth-token", "--generate"], check=True, stdout=subprocess.DEVNULL)
    # Ray's own port is 6379, which is Redis's
    options = ["--head", f"--port={port}", "--dashboard-host=127.0.0.1"]
    password = os.environ.get("RAY_REDIS_PASSWORD")  # Ray takes it as an option only
    _become_node([*options, *([f"--redis-password={password}"] if password else [])], DEAD_AFTER)


@cluster.command()
@click.argument("head")
@click.option("--labels", metavar="KEY=VALUE,…", help="Of this node, which a deployment may ask for: role=training.")
def join(head: str, labels: str | None) -> None:
    """Join the cluster at HEAD, as in 10.0.0.1:6399."""
    _become_node([f"--address={head}", *([f"--labels={labels}"] if labels else [])], {})


@cluster.command()
@config_argument
@click.option("--address", default="http://127.0.0.1:8265", show_default=True, help="Of the dashboard on the head.")
@click.option("--within", "within_s", type=click.FloatRange(min=0), default=600.0, show_default=True, help="Seconds.")
def deploy(config: Path, address: str, within_s: float) -> None:
    """Bring CONFIG, with the code that is installed here, onto the cluster; nothing that is asked meanwhile fails."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    from deployments.ray_runtime.deploy import deploy as bring

    bring(config, address, within_s)


def _become_node(options: list[str], more: Mapping[str, str]) -> None:
    """Replace this process by ``ray start``, which runs until the node leaves."""
    from deployments.ray_runtime.environment import BIN, node_environment

    os.umask(0o077)
    command = [str(BIN / "ray"), "start", *options, "--disable-usage-stats", "--block"]
    os.execve(command[0], command, node_environment(more))  # noqa: S606 (a supervisor's signals are for Ray)
