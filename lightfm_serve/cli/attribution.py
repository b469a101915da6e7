"""The command that says what came of what a running service has shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightfm_serve.cli.group import as_json, say
from lightfm_serve.cli.placements import ask
from lightfm_serve.cli.service_client import key_option, url_option

if TYPE_CHECKING:
    from lightfm_serve import Client
    from lightfm_serve.client.responses import Attribution, AttributionRow

BY = ("version", "variant", "placement", "position", "day")


@click.command()
@url_option
@key_option
@click.option("--by", type=click.Choice(BY), default="version", show_default=True, help="What a row is about.")
@click.option("--placement", help="Of these exposures only.")
@click.option("--from", "since", help="Day or time of the first exposures.  [default: all that are kept]")
@click.option("--to", "until", help="Day or time of the last exposures.")
@click.option("--daily", is_flag=True, help="Each row day by day.")
@as_json
def attribution(
    url: str,
    key_file: Path | None,
    by: str,
    placement: str | None,
    since: str | None,
    until: str | None,
    daily: bool,
    as_json: bool,
) -> None:
    """Show what came of what a running service has shown.

    A rate is the share of exposures with at least one such interaction, with its interval at 95 %.
    """

    def asked(client: Client) -> Attribution:
        wanted = daily or None
        return client.attribution(by, placement=placement, since=since, until=until, daily=wanted)  # type: ignore[arg-type]  # a choice

    from msgspec import to_builtins

    found = ask(url, key_file, asked)
    lines = [_line(row, by) for row in found.rows]
    say(to_builtins(found), "\n".join(lines) or "nothing was shown", as_json)


def _line(row: AttributionRow, by: str) -> str:
    name = f"{row.experiment}/{row.variant}" if by == "variant" else str(getattr(row, by) or "-")
    name = f"{row.day} {name}" if row.day and by != "day" else name
    rates = [
        f"{event} {rate.rate:.4f} ({rate.low:.4f} to {rate.high:.4f})" for event, rate in sorted(row.rates.items())
    ]
    return f"{name:<20}{row.exposures:>9,} shown to {row.users:,} users   {'   '.join(rates) or 'no interactions'}"
