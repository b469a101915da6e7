"""Commands that ask a running service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from lightfm_serve.cli.group import as_json, say
from lightfm_serve.cli.service_client import GIVE_A_KEY, START_IT, key_in, key_option, url_option

_UNITS = ((86_400.0 * 365.25, "year"), (86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"), (1.0, "second"))
Row = tuple[str, str]


@click.command()
@url_option
@key_option
@as_json
def models(url: str, key_file: Path | None, as_json: bool) -> None:
    """List the versions of a running service, newest first."""
    listed = _get(url, "/v1/models", key_file)["models"]
    lines = [
        f"{each['version']}  {each['status']:<8}  {each['created_at']}  {_ndcg(each['metrics'])}" for each in listed
    ]
    lines += [f"{each['version']} is refused: {each['refused']}" for each in listed if each.get("refused")]
    newest = (listed[0].get("data") or {}).get("changes", ()) if listed else ()
    lines += [f"the data has changed: {change}" for change in newest]
    say(listed, "\n".join(lines) or "no versions yet", as_json)


@click.command()
@url_option
@key_option
@as_json
def status(url: str, key_file: Path | None, as_json: bool) -> None:
    """Show how a running service does."""
    state = _get(url, "/v1/status", key_file)
    say(state, _table(_rows(state)), as_json)


def _rows(state: Mapping[str, Any]) -> Iterator[Row]:
    """Lines of the table, from the body of ``GET /v1/status``."""
    version = state.get("model_version")
    pinned = ", pinned: newer ones are not activated" if state.get("pinned") else ""
    yield "model", f"version {version}{pinned}" if version else "none serves yet"
    for replica in state.get("replicas") or ():
        told = f"serves {replica.get('model_version') or 'no version'}"
        yield "replica", f"{replica.get('replica', '?')}: {told} (process {replica.get('pid', '?')})"
    near = state.get("near") or {}
    if near.get("share_near") is not None:
        yield "answers", f"{near['share_near']:.0%} in the process that took them, the others along the chain"
    waiting = state.get("interactions_waiting")
    yield "waiting", "unknown: the log does not answer" if waiting is None else f"{waiting:,} interactions to learn"
    newest = state.get("seconds_since_newest_learned")
    yield "learned up to", "nothing yet" if newest is None else f"{in_words(newest)} ago, by the data's own time"
    yield "training", str(state.get("training") or "unknown: the trainer does not answer")
    yield "last training", _training(state.get("last_training"))
    yield from (("health", f"{part}: {health}") for part, health in (state.get("health") or {}).items())
    yield from _store(state.get("store"))


def _training(last: Mapping[str, Any] | None) -> str:
    if not last:
        return "none since the trainer started"
    seconds = last.get("seconds")
    words = [str(last.get("mode", "")), str(last.get("outcome", ""))]
    words += [f"version {last['version']}"] if last.get("version") else []
    words += [f"in {in_words(seconds)}"] if isinstance(seconds, int | float) else []
    words += [f"({last['reason']})"] if last.get("reason") else []
    return " ".join(filter(None, words))


def _store(store: Mapping[str, Any] | None) -> Iterator[Row]:
    if not store:
        return
    yield "store", f"{store.get('engine', '')} {store.get('version', '')}".strip()
    yield from (("store warns", str(warning)) for warning in store.get("warnings") or ())


def in_words(seconds: float) -> str:
    """Age in its two largest units: ``2 hours 5 minutes``; below a second ``less than a second``."""
    parts: list[str] = []
    for size, unit in _UNITS:
        n, seconds = divmod(seconds, size)
        if n:
            parts.append(f"{n:,.0f} {unit}{'' if n == 1 else 's'}")
        if len(parts) == 2 or (parts and not n):
            break
    return " ".join(parts[:2]) or "less than a second"


def _table(rows: Iterator[Row]) -> str:
    """Rows with their names in a column; a name that stands above is not repeated."""
    listed = list(rows)
    width = max(len(name) for name, _ in listed)
    before = ""
    lines = []
    for name, value in listed:
        lines.append(f"{'' if name == before else name:<{width}}  {value}")
        before = name
    return "\n".join(lines)


def _get(url: str, path: str, key_file: Path | None) -> Any:
    import httpx

    key = key_in(key_file)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(url + path, headers=headers, timeout=10)
    except httpx.HTTPError as error:
        raise click.ClickException(f"{url} does not answer ({error}); {START_IT}") from None
    if answer.status_code in (401, 403):
        raise click.ClickException(f"{url} answered {answer.status_code}: {answer.text[:500]} ({GIVE_A_KEY})")
    if answer.is_error:
        raise click.ClickException(f"{url} answered {answer.status_code}: {answer.text[:500]}")
    return answer.json()


def _ndcg(metrics: Mapping[str, float]) -> str:
    return f"ndcg@10 {metrics['ndcg@10']:.4f}" if "ndcg@10" in metrics else "not judged"
