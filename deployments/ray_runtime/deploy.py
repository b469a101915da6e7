"""Deploy onto a running Ray cluster: ``recommender cluster deploy``.

What ``serve deploy`` does, and two things more. Serve replaces replicas when their configuration has changed, and does
not see that the code has: here the configuration names the release. And it waits, and fails when the deployment does.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click
import yaml
from ray.dashboard.modules.serve.sdk import ServeSubmissionClient

from deployments.ray_runtime.code_hash import release

LOOK_EVERY_S = 0.5


def deploy(config: Path, address: str, within_s: float) -> None:
    """Bring a configuration, with the code that is installed here, onto the cluster with this dashboard, and wait.

    Raises
    ------
    click.ClickException
        An application cannot be deployed, or not everything runs after so many seconds.
    """
    content = with_release(yaml.safe_load(config.read_text()))
    client = ServeSubmissionClient(address)
    client.deploy_applications(content)
    deadline = time.monotonic() + within_s
    shown = ""
    while time.monotonic() < deadline:
        states = client.get_serve_details()["applications"]
        waiting = [name for name in _names(content) if not _is_settled(states.get(name, {}))]
        failed = [states[name]["message"] for name in _names(content) if _status(states, name) == "DEPLOY_FAILED"]
        if failed:
            raise click.ClickException("\n".join(failed))
        if not waiting:
            click.echo(f"release {release()} serves")
            return
        shown = _said(", ".join(f"{name}: {_status(states, name).lower()}" for name in waiting), shown)
        time.sleep(LOOK_EVERY_S)
    raise click.ClickException(f"not everything runs after {within_s:g} s: {shown}")


def with_release(content: dict[str, Any]) -> dict[str, Any]:
    """Configuration that differs from the one before when the code does."""
    for application in content["applications"]:
        variables = application.setdefault("runtime_env", {}).setdefault("env_vars", {})
        variables["RECOMMENDER_RELEASE"] = release()
    return content


def _names(content: dict[str, Any]) -> list[str]:
    return [application["name"] for application in content["applications"]]


def _status(states: dict[str, Any], name: str) -> str:
    return str(states.get(name, {}).get("status", "NOT_STARTED"))


def _is_settled(state: dict[str, Any]) -> bool:
    parts = state.get("deployments", {}).values()
    return state.get("status") == "RUNNING" and all(part["status"] == "HEALTHY" for part in parts)


def _said(text: str, before: str) -> str:
    if text != before:
        sys.stderr.write(f"{text}\n")
    return text
