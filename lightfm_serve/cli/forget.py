"""The command that erases a user from everywhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightfm_serve.cli.group import as_json, say, tell
from lightfm_serve.cli.service_client import calling, key_option, patience_option, url_option

if TYPE_CHECKING:
    from lightfm_serve import Client
    from lightfm_serve.client.responses import ForgettingReport, Looked

LOOK_EVERY_S = 0.2


@click.command()
@click.argument("user")
@click.option("--verify", is_flag=True, help="Read everything afterwards, say where, and fail where something is left.")
@url_option
@key_option
@patience_option
@as_json
def forget(user: str, verify: bool, url: str, key_file: Path | None, patience: float, as_json: bool) -> None:
    """Erase USER from store, log, archive, exposures, audit and every kept version of a running service.

    It waits for a training that runs, and for the processes that serve. What the user has taught the items of a version
    is in it until the next full training. Back-ups are not looked into.
    """
    from msgspec import to_builtins

    with calling(url, key_file, patience, "nothing is harmed by running it again") as client:
        report = _done(client, user, verify, patience)
    say(to_builtins(report), _text(report), as_json)
    if report.status != "done" or any(place.left for place in report.places):
        raise click.exceptions.Exit(1)


def _done(client: Client, user: str, verify: bool, patience_s: float) -> ForgettingReport:
    tell("forgetting")
    report, deadline = client.forget(user, verify=verify), time.monotonic() + patience_s
    while report.status == "running":
        if time.monotonic() > deadline:
            raise click.ClickException(f"it has not come to an end within {patience_s:g} s, and goes on; run it again")
        time.sleep(LOOK_EVERY_S)
        report = client.forgetting(user)
    return report


def _text(report: ForgettingReport) -> str:
    if report.status != "done":
        return f"{report.status}: {report.reason}"
    return "\n".join(map(_line, report.places))


def _line(each: Looked) -> str:
    looked = "" if each.left is None else f"; looked through {each.searched}: {each.left or 'nothing'} left"
    return f"{each.place}: {each.erased:,} erased{looked}"
