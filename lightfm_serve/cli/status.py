"""Commands that ask a running service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import httpx

from lightfm_serve.cli.group import as_json, main, say
from lightfm_serve.cli.service_client import KEY_VARIABLE, key_in, key_option, url_option


@main.command()
@url_option
@key_option
@as_json
def models(url: str, key_file: Path | None, as_json: bool) -> None:
    """List the versions of a running service, newest first."""
    listed = _get(url, "/v1/models", key_file)["models"]
    lines = [
        f"{each['version']}  {each['status']:<8}  {each['created_at']}  {_ndcg(each['metrics'])}" for each in listed
    ]
    say(listed, "\n".join(lines) or "no versions yet", as_json)


@main.command()
@url_option
@key_option
@as_json
def status(url: str, key_file: Path | None, as_json: bool) -> None:
    """Show how a running service does."""
    state = _get(url, "/v1/status", key_file)
    lines = [f"{name.replace('_', ' ')}: {_compact(value)}" for name, value in state.items()]
    say(state, "\n".join(lines), as_json)


def _get(url: str, path: str, key_file: Path | None) -> Any:
    key = key_in(key_file)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(url + path, headers=headers, timeout=10)
    except httpx.HTTPError as error:
        raise click.ClickException(f"{url} does not answer ({error}); start it with: make serve") from None
    if answer.status_code in (401, 403):
        raise click.ClickException(
            f"{url} answered {answer.status_code}: {answer.text[:500]} ({KEY_VARIABLE} or --key-file)"
        )
    if answer.is_error:
        raise click.ClickException(f"{url} answered {answer.status_code}: {answer.text[:500]}")
    return answer.json()


def _ndcg(metrics: Mapping[str, float]) -> str:
    return f"ndcg@10 {metrics['ndcg@10']:.4f}" if "ndcg@10" in metrics else "not judged"


def _compact(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
