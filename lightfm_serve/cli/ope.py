"""The command that estimates what another setting would have brought, from what was shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightfm_serve.cli.group import as_json, say

if TYPE_CHECKING:
    from recommender.experiments.off_policy import OffPolicyReport


@click.command()
@click.argument("exposures", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--event", default="click", show_default=True, help="Interaction that counts.")
@as_json
def ope(exposures: Path, target: Path, event: str, as_json: bool) -> None:
    """Estimate what TARGET would have brought, from the drawn items of EXPOSURES.

    EXPOSURES is what `export --exposures` writes. TARGET is CSV or Parquet with item_id and probability, with which a
    setting would draw the item, and perhaps recommendation_id, user_id or position, where that differs between them.
    Inverse propensities, self-normalised, and doubly robust; with what the estimates rest on.
    """
    from recommender.datasets.exposure_file import read_exposures
    from recommender.experiments.logged_exposures import decisions_of, read_target, with_target
    from recommender.experiments.off_policy import evaluate_off_policy

    try:
        decisions = decisions_of(read_exposures(exposures), event)
        report = evaluate_off_policy(with_target(decisions, read_target(target)))
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    say(_content(report), _text(report), as_json)


def _content(report: OffPolicyReport) -> dict[str, Any]:
    estimates = {name: getattr(report, name)._asdict() for name in ("logged", "ips", "snips", "dr")}
    return {**estimates, "weights": report.weights._asdict(), "warnings": report.weights.warnings}


def _text(report: OffPolicyReport) -> str:
    rows = [(name, getattr(report, name)) for name in ("logged", "ips", "snips", "dr")]
    lines = [f"{name:<8}{each.value:>9.4f}   {each.low:.4f} to {each.high:.4f}" for name, each in rows]
    weights = report.weights
    lines.append(
        f"{weights.decisions} decisions, {weights.effective_sample_size:.0f} effective, largest weight "
        f"{weights.largest_weight:.1f}, mean weight {weights.mean_weight:.2f}"
    )
    return "\n".join([*lines, *(f"Do not trust this: {each}" for each in weights.warnings)])
