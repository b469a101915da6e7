"""Commands for the experiments of a running service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from lightfm_serve.cli.group import as_json, say
from lightfm_serve.cli.placements import ask, plain, read_object
from lightfm_serve.cli.service_client import key_option, url_option


@click.group()
def experiments() -> None:
    """Split the users of a placement over variants, and see which is better."""


@experiments.command("list")
@url_option
@key_option
@as_json
def list_(url: str, key_file: Path | None, as_json: bool) -> None:
    """List all experiments, by name."""
    found = plain(ask(url, key_file, lambda client: client.list_experiments().experiments))
    lines = [f"{each['name']}  {each['status']}  on {each['placement']}  {_variants(each)}" for each in found]
    say(found, "\n".join(lines) or "no experiments yet", as_json)


@experiments.command()
@click.argument("name")
@click.argument("experiment", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@url_option
@key_option
@as_json
def start(name: str, experiment: Path, url: str, key_file: Path | None, as_json: bool) -> None:
    """Start NAME as EXPERIMENT says, a file of JSON, or - for standard input."""
    given = read_object(experiment)
    found = plain(ask(url, key_file, lambda client: client.put_experiment(name, given)))
    say(found, f"{name} splits the users of {found['placement']}: {_variants(found)}", as_json)


@experiments.command()
@click.argument("name")
@url_option
@key_option
@as_json
def show(name: str, url: str, key_file: Path | None, as_json: bool) -> None:
    """Show what came of NAME so far, and what to do; it may be asked at any time."""
    found = plain(ask(url, key_file, lambda client: client.get_experiment(name)))
    say(found, "\n".join(_lines(found)), as_json)


@experiments.command()
@click.argument("name")
@click.option("--ship", metavar="VARIANT", help="Put the settings of this variant into the placement.")
@url_option
@key_option
def end(name: str, ship: str | None, url: str, key_file: Path | None) -> None:
    """End NAME, with or without a winner."""
    found = ask(url, key_file, lambda client: client.end_experiment(name, ship))
    told = f"; {found.placement} has the settings of {ship}" if ship else f"; {found.placement} stays as it is"
    click.echo(f"{name} has ended{told}")


@experiments.command()
@click.argument("name")
@url_option
@key_option
def delete(name: str, url: str, key_file: Path | None) -> None:
    """End NAME without a winner and forget it."""
    ask(url, key_file, lambda client: client.delete_experiment(name))
    click.echo(f"{name} is deleted")


def _variants(experiment: Mapping[str, Any]) -> str:
    return ", ".join(f"{each['name']} {each['share']:.0%}" for each in experiment["variants"])


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Decision, then a line a variant."""
    yield f"{result['decision']}: {result['reason']}"
    yield f"{'variant':<16}{'users':>9}{'exposures':>11}  {result['metric']}"
    for each in result["variants"]:
        apart = f"  {_figure(each['difference'], sign='+')} to the first" if each["difference"] else ""
        yield f"{each['name']:<16}{each['users']:>9,}{each['exposures']:>11,}  {_figure(each['metric'])}{apart}"
    yield f"sample ratio mismatch: p = {result['sample_ratio_p']:.3g}"


def _figure(figure: Mapping[str, Any], sign: str = "") -> str:
    value = f"{figure['value']:{sign}.4f}"
    return value if figure["low"] is None else f"{value} ({figure['low']:{sign}.4f} to {figure['high']:{sign}.4f})"
