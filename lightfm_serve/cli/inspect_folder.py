"""The command that says what is understood of a data folder, before anybody trains on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightfm_serve.cli.group import as_json, progress_bar, say
from lightfm_serve.cli.schema_options import schema_options

if TYPE_CHECKING:
    from recommender.datasets.profile import FolderProfile
    from recommender.datasets.schema import Schema


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@schema_options
@as_json
def inspect(folder: Path, schema: Schema, as_json: bool) -> None:
    """Say what is understood of FOLDER before anybody trains on it.

    Columns, types, missing values, shared ids, and what is likely to be wrong. Every cell is read as `train`,
    `evaluate` and `import` read it; what they would refuse is refused.
    """
    from recommender.datasets import folder as folders

    with progress_bar("reading", "row", unit_scale=True) as bar:

        def on_table(_name: str, n: int) -> None:
            bar.update(n)

        profile = folders.inspect(folder, schema, on_table)
    content = profile.to_json()
    say(content, "\n".join(_lines(profile, content)), as_json)


def _lines(profile: FolderProfile, content: Mapping[str, Any]) -> Iterator[str]:
    for file in content["files"].values():
        yield f"{file['file']}: {file['rows']:,} rows"
        width = max(len(column["column"]) for column in file["columns"])
        yield from (_column(column, width) for column in file["columns"])
    for overlap in profile.overlaps():
        yield f"{overlap.file} knows {overlap.n_known:,} of the {overlap.n:,} {overlap.column}s of the interactions"
    yield from (f"Note: {note}" for note in content["notes"])
    yield from (f"Warning: {warning}" for warning in content["warnings"])
    yield from (f"Hint: {hint}" for hint in content["hints"])
    if not content["warnings"]:
        yield "Nothing looks wrong."


def _column(column: Mapping[str, Any], width: int) -> str:
    distinct = column["distinct"]
    counted = f"{distinct:,}" if isinstance(distinct, int) else distinct
    missing = f", {column['missing']:,} missing" if column["missing"] else ""
    examples = ", ".join(column["examples"])
    return f"  {column['column']:<{width}}  {column['kind']:<8} {counted} distinct{missing}: {examples}"
