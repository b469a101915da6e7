"""Options that say what the columns of a data folder are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import click

Command = Callable[..., Any]


def schema_options(command: Command) -> Command:
    """Give a command ``--map`` and ``--ignore``, and what they say as its argument ``schema``."""

    @click.option(
        "--map", "names", multiple=True, metavar="OWN=OURS", help="A column's own name, and ours; repeatable."
    )
    @click.option(
        "--ignore",
        "ignored",
        multiple=True,
        metavar="COLUMN",
        help="A column to leave out, also like interactions.*; repeatable.",
    )
    @wraps(command)
    def with_schema(*args: Any, names: tuple[str, ...], ignored: tuple[str, ...], **kwargs: Any) -> Any:
        from recommender.datasets.schema import Schema

        schema = Schema(names=dict(map(_pair, names)), ignored=frozenset(ignored))
        return command(*args, schema=schema, **kwargs)

    return with_schema


def warn(warnings: Iterable[str]) -> None:
    """Say what is likely to be wrong with the data, beside the answer of a command."""
    for warning in warnings:
        click.echo(f"Note: {warning}", err=True)


def _pair(text: str) -> tuple[str, str]:
    own, equals, ours = text.partition("=")
    if not (own and equals and ours):
        raise click.BadParameter(f"{text!r} is not like userId=user_id", param_hint="--map")
    return own, ours
