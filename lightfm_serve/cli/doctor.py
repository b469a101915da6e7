"""The command that looks at a running service from outside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightfm_serve.cli.group import as_json, say, state_dir_option
from lightfm_serve.cli.service_client import key_in, key_option, url_option

if TYPE_CHECKING:
    from lightfm_serve.cli.health_checks import Finding


@click.command()
@url_option
@key_option
@state_dir_option
@as_json
def doctor(url: str, key_file: Path | None, state_dir: str, as_json: bool) -> None:
    """Look at a running service and say what would hurt it; fails when something would."""
    from lightfm_serve.cli.health_checks import examine

    findings = list(examine(url, key_in(key_file), state_dir))
    say([finding._asdict() for finding in findings], "\n".join(map(_said, findings)), as_json)
    if any(finding.state == "failed" for finding in findings):
        raise click.exceptions.Exit(1)


def _said(finding: Finding) -> str:
    advice = f"\n{'':8} → {finding.advice}" if finding.advice else ""
    return f"{finding.state:8} {finding.name}: {finding.said}{advice}"
