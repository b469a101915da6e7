"""Commands for the placements of a running service."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lightfm_serve.cli.group import as_json, say
from lightfm_serve.cli.service_client import calling, key_option, url_option

if TYPE_CHECKING:
    from lightfm_serve import Client

T = TypeVar("T")
PATIENCE_S = 30.0


@click.group()
def placements() -> None:
    """Look at and change the placements of a running service."""


@placements.command("list")
@url_option
@key_option
@as_json
def list_(url: str, key_file: Path | None, as_json: bool) -> None:
    """List all placements, by name."""
    found = [plain(each) for each in ask(url, key_file, lambda client: client.list_placements().placements)]
    lines = [f"{each['name']}  change {each['number']}  {_settings_in_words(each)}" for each in found]
    say(found, "\n".join(lines) or "no placements yet", as_json)


@placements.command()
@click.argument("name")
@url_option
@key_option
def show(name: str, url: str, key_file: Path | None) -> None:
    """Print the settings of NAME as JSON, as `put` takes them."""
    click.echo(_as_json(plain(ask(url, key_file, lambda client: client.get_placement(name)))))


@placements.command()
@click.argument("name")
@click.argument("settings", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@url_option
@key_option
@as_json
def put(name: str, settings: Path, url: str, key_file: Path | None, as_json: bool) -> None:
    """Create or replace NAME with SETTINGS, a file of JSON, or - for standard input."""
    given = read_object(settings)
    found = plain(ask(url, key_file, lambda client: client.put_placement(name, given)))
    say(found, f"{name} is as in change {found['number']}", as_json)


@placements.command()
@click.argument("name")
@url_option
@key_option
def delete(name: str, url: str, key_file: Path | None) -> None:
    """Delete NAME; its history stays."""
    ask(url, key_file, lambda client: client.delete_placement(name))
    click.echo(f"{name} is deleted; `recommender placements history {name}` shows what it was")


@placements.command()
@click.argument("name")
@url_option
@key_option
@as_json
def history(name: str, url: str, key_file: Path | None, as_json: bool) -> None:
    """List the last 50 changes of NAME, newest first."""
    changes = ask(url, key_file, lambda client: client.placement_history(name)).changes
    lines = [f"{each.number}  {_when(each.at)}  {_change_in_words(plain(each.settings))}" for each in changes]
    say([plain(each) for each in changes], "\n".join(lines), as_json)


@placements.command()
@click.argument("name")
@click.argument("number", type=int)
@url_option
@key_option
def restore(name: str, number: int, url: str, key_file: Path | None) -> None:
    """Put NAME back to what it was with change NUMBER of its history."""

    def put_back(client: Client) -> int:
        changes = client.placement_history(name).changes
        found = next((each.settings for each in changes if each.number == number), None)
        if found is None:
            known = ", ".join(str(each.number) for each in changes if each.settings is not None)
            raise click.ClickException(f"{name} has no change {number} to put back; there are {known or 'none'}")
        return client.put_placement(name, found).number

    click.echo(f"{name} is as in change {number} again, with change {ask(url, key_file, put_back)}")


def plain(struct: Any) -> Any:
    """Plain values of an answer, without what is not set."""
    import msgspec

    return msgspec.to_builtins(struct)


def ask(url: str, key_file: Path | None, question: Callable[[Client], T]) -> T:
    """Answer of a running service to one question."""
    with calling(url, key_file, PATIENCE_S) as client:
        return question(client)


def read_object(path: Path) -> Mapping[str, Any]:
    """JSON object of a file, or of what is typed into ``-``."""
    text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    try:
        given = json.loads(text)
    except ValueError as error:
        raise click.ClickException(f"{path} is no JSON: {error}") from None
    if not isinstance(given, dict):
        raise click.ClickException(f"{path} has to be an object of settings, as `recommender placements show` prints")
    return given


def _settings_in_words(placement: Mapping[str, Any]) -> str:
    named = [f"{name} {value}" for name, value in placement.items() if name in ("k", "diversity", "explore")]
    rules = placement.get("rules") or []
    named += [f"filter {' '.join(placement['filter'])}"] if placement.get("filter") else []
    named += [f"{len(rules)} rule{'' if len(rules) == 1 else 's'}"] if rules else []
    return ", ".join(named) or "as the service is set"


def _change_in_words(settings: Mapping[str, Any] | None) -> str:
    return "deleted" if settings is None else _settings_in_words(settings)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _as_json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)
