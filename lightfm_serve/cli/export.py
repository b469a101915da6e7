"""The command that writes what a running service has into a data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightfm_serve.cli.group import as_json, progress_bar, say
from lightfm_serve.cli.service_client import calling, key_option, patience_option, url_option
from recommender.errors import InvalidDataError

if TYPE_CHECKING:
    from tqdm import tqdm

    from recommender.datasets.export import Written

PAGE, LONG_PAGE = 1000, 10_000


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@url_option
@key_option
@patience_option
@click.option("--exposures", is_flag=True, help="Also what was shown and what came of it; needs an admin key.")
@as_json
def export(folder: Path, url: str, key_file: Path | None, patience: float, exposures: bool, as_json: bool) -> None:
    """Write users, items and interactions of a running service into FOLDER.

    As Parquet, in the format that `import` and `dataset:` take; as JSON lines what columns cannot hold exactly, such
    as a feature that is a number here and a text there. What is erased while the command runs may be in it or not.
    """
    from recommender.datasets.export import Written, write_table
    from recommender.datasets.exposure_file import write_exposures

    _check_empty(folder)
    with (
        calling(url, key_file, patience, "nothing was left behind; run it again") as client,
        progress_bar("exporting", "row", unit_scale=True) as bar,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        written = [
            write_table(folder, name, _records(read, name, bar))
            for name, read in (
                ("items", lambda cursor: client.list_items(cursor=cursor, limit=PAGE)),
                ("users", lambda cursor: client.list_users(cursor=cursor, limit=PAGE)),
                ("interactions", lambda cursor: client.list_interactions(cursor=cursor, limit=LONG_PAGE)),
            )
        ]
        if exposures:
            shown = _records(lambda cursor: client.list_exposures(cursor=cursor, limit=PAGE), "exposures", bar)
            written.append(Written("exposures", *write_exposures(folder, shown), None))
    say({each.name: {"rows": each.rows, "file": str(each.path)} for each in written}, _text(written), as_json)


def _check_empty(folder: Path) -> None:
    from recommender.datasets.tables import SUFFIXES

    names = [f"{stem}{suffix}" for stem in ("items", "users", "interactions", "exposures") for suffix in SUFFIXES]
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise InvalidDataError(f"{folder} has {there[0]} already; name another folder, or remove it")


def _records(read: Callable[[str | None], Any], name: str, bar: tqdm[Any]) -> Iterator[dict[str, Any]]:
    from msgspec import to_builtins

    cursor: str | None = None
    while True:
        page = read(cursor)
        records = getattr(page, name)
        yield from (to_builtins(each) for each in records)
        bar.set_postfix_str(name, refresh=False)
        bar.update(len(records))
        cursor = page.next_cursor
        if cursor is None:
            return


def _text(written: list[Written]) -> str:
    lines = [f"{each.rows:>12,}  {each.path}" for each in written]
    return "\n".join([*lines, *(f"Note: {each.path.name} is not Parquet: {each.why}" for each in written if each.why)])
