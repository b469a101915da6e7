"""The group of commands, and how they speak."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click
from tqdm import tqdm

from recommender.datasets.dataset import Dataset, feature_records, withdrawn
from recommender.errors import RecommenderError
from recommender.training.full import TrainingData
from recommender.training.snapshot_builder import CatalogueEntry

PLUGINS = "recommender.commands"
"""Entry points of commands that need more than this library, such as Ray; loaded when they are asked for."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


class Commands(click.Group):
    """Commands that end with status 1 and one line on what failed, without a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (RecommenderError, OSError) as error:
            raise click.ClickException(str(error)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Own commands and those of entry points."""
        return sorted({*super().list_commands(ctx), *entry_points(group=PLUGINS).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Own command, else that of an entry point."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        return next((_loaded(entry) for entry in entry_points(group=PLUGINS, name=cmd_name)), None)


def _loaded(entry: EntryPoint) -> click.Command:
    """Command of an entry point; one that cannot be loaded says why when it is run, and breaks no other."""
    try:
        command: click.Command = entry.load()
    except ImportError as error:
        return _broken(entry.name, str(error))
    return command


def _broken(name: str, reason: str) -> click.Command:
    @click.command(name, help=f"Not available: {reason}", context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1)
    def command(arguments: tuple[str, ...]) -> None:  # noqa: ARG001 (whatever is given, it cannot be run)
        raise click.ClickException(f"{name} cannot be loaded: {reason}")

    return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lightfm-serve")
def main() -> None:
    """Train, evaluate and ask recommenders; look after a running service."""


def training_data(dataset: Dataset) -> TrainingData:
    """All of a data set, as training takes it."""
    titles = dataset.items["title"].to_dict() if "title" in dataset.items else {}
    unavailable = withdrawn(dataset.items)
    catalogue = [
        CatalogueEntry(
            item_id,
            features,
            title if isinstance(title := titles.get(item_id), str) else None,
            item_id not in unavailable,
        )
        for item_id, features in feature_records(dataset.items)
    ]
    return TrainingData(dataset.interactions, dict(feature_records(dataset.users)), catalogue)


def tell(doing: str) -> None:
    """Say on a terminal what begins."""
    if sys.stderr.isatty():
        click.echo(f"{doing} …", err=True)


def progress_bar(doing: str, unit: str, total: int | None = None, **more: Any) -> tqdm[Any]:
    """Bar of long work, on a terminal only; `more` as tqdm takes it."""
    return tqdm(total=total, desc=doing, unit=unit, disable=not sys.stderr.isatty(), leave=False, **more)


def say(content: object, text: str, as_json: bool) -> None:
    """Print an answer, for machines or for people."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False) if as_json else text)


def listing(metrics: Mapping[str, float]) -> str:
    """Metrics, one a line."""
    return "\n".join(f"{name:<14}{value:.4f}" for name, value in metrics.items())
