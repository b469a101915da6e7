"""The command that streams data into a running service."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightfm_serve.cli.group import as_json, progress_bar, say
from lightfm_serve.cli.schema_options import schema_options, warn
from lightfm_serve.cli.service_client import DEFAULT_URL, calling, key_option, patience_option, url_option
from recommender.errors import InvalidDataError
from recommender.storage import atomic_files

if TYPE_CHECKING:
    from tqdm import tqdm

    from lightfm_serve import Client, InvalidError
    from lightfm_serve.client.endpoints import Call
    from lightfm_serve.client.responses import Accepted, Upserted
    from recommender.datasets.batches import Batch, OnTable, Rows
    from recommender.datasets.schema import Schema

PROGRESS = ".recommender-import.json"
SOURCES = ("folder", "gorse")


@click.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--from", "source", type=click.Choice(SOURCES), default="folder", show_default=True)
@schema_options
@click.option("--resume", is_flag=True, help="Go on where an import of the same files was interrupted.")
@url_option
@key_option
@patience_option
@as_json
def import_(
    path: Path,
    source: str,
    resume: bool,
    schema: Schema,
    url: str,
    key_file: Path | None,
    patience: float,
    as_json: bool,
) -> None:
    """Stream PATH into a running service.

    PATH is a data folder with items, users and interactions as .csv, .parquet or .jsonl; with --from gorse a folder
    with what Gorse's dashboard exports (users, items and feedback as .jsonl or .csv), or the file of a Gorse dump. A
    folder that is such an export is taken for one without being told.

    Everything is checked before anything is sent. An interaction is sent with an event_id made of what it says, so
    that repeating an import, within a week, counts nothing twice.
    """
    with _bar(None, "checking") as bar:
        rows, warnings = _checked(path, source, schema, lambda name, n: _moved(bar, name, n))
    warn(warnings)
    progress = Progress(path, url)
    done = progress.before() if resume else {}
    hint = f"what was sent is safe: {_again(path, source, schema, url, key_file)}"
    with calling(url, key_file, patience, hint) as client, _bar(sum(each.n for each in rows), "importing") as bar:
        sent = Sent(client, progress, done, bar)
        for each in rows:
            sent.send(each)
    progress.forget()
    say(sent.said(), sent.text(), as_json)


def _again(path: Path, source: str, schema: Schema, url: str, key_file: Path | None) -> str:
    """Command that goes on with an interrupted import."""
    words: list[object] = ["recommender", "import", path, "--resume"]
    words += ["--from", source] if source != SOURCES[0] else []
    for own, ours in schema.names.items():
        words += ["--map", f"{own}={ours}"]
    for ignored in sorted(schema.ignored):
        words += ["--ignore", ignored]
    words += ["--url", url] if url != DEFAULT_URL else []
    words += ["--key-file", key_file] if key_file else []
    return shlex.join(map(str, words))


def _checked(path: Path, source: str, schema: Schema, on_table: OnTable) -> tuple[list[Rows], list[str]]:
    """Rows of a source, and what is likely to be wrong with them."""
    from recommender.datasets.batches import open_folder
    from recommender.datasets.folder import check_schema
    from recommender.datasets.gorse import NOTE, is_export, open_gorse
    from recommender.datasets.profile import FolderProfile

    if source == "gorse":
        return open_gorse(path, on_table), []
    if not path.is_dir():
        raise InvalidDataError(f"{path} is no folder; the file of a Gorse dump is imported with --from gorse")
    if is_export(path):
        return open_gorse(path, on_table), [NOTE]
    profile = FolderProfile()
    rows = open_folder(path, on_table, check_schema(path, schema), profile)
    return rows, [*profile.notes(), *profile.warnings()]


class Progress:
    """What has been sent, in a small file beside the data; where none can be written there is none.

    Parameters
    ----------
    path
        What is imported.
    url
        Where to.
    """

    def __init__(self, path: Path, url: str) -> None:
        folder = path if path.is_dir() else path.parent
        self._path = folder / PROGRESS
        read = sorted(folder.iterdir()) if path.is_dir() else [path]
        stats = {each.name: each.stat() for each in read if each.is_file() and not each.name.startswith(".")}
        self._about = {"url": url, "files": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}}

    def before(self) -> dict[str, int]:
        """Rows of each kind that an earlier import of the same files sent to the same service."""
        try:
            content = json.loads(self._path.read_bytes())
            done: dict[str, int] = content.pop("done")
        except (OSError, ValueError, KeyError, AttributeError):
            return {}
        return done if content == self._about else {}

    def remember(self, done: Mapping[str, int]) -> None:
        """Write down how far it has come."""
        try:
            with atomic_files.replacing(self._path) as file:
                file.write(json.dumps({**self._about, "done": dict(done)}).encode())
        except OSError:  # a folder that cannot be written: then an import begins anew, which counts nothing twice
            return

    def forget(self) -> None:
        """All is sent."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return


class Sent:
    """Sends, and counts.

    Parameters
    ----------
    client
        Of the service.
    progress
        Where it is written down.
    done
        Rows of each kind that need not be sent.
    bar
        Moves.
    """

    def __init__(self, client: Client, progress: Progress, done: Mapping[str, int], bar: tqdm[Any]) -> None:
        self._client, self._progress, self._bar = client, progress, bar
        self._done = dict(done)
        self._skipped = sum(done.values())
        self._counts = {"items": 0, "users": 0, "interactions": 0, "duplicates": 0}

    def send(self, rows: Rows) -> None:
        """Send users, items or interactions, a batch at a time."""
        before, read = self._done.get(rows.name, 0), 0
        for batch in rows.batches():
            read += len(batch.records)
            if read > before and batch.records:
                self._send(rows.name, batch)
                self._done[rows.name] = read
                self._progress.remember(self._done)
            _moved(self._bar, rows.name, len(batch.records))

    def said(self) -> dict[str, int]:
        """For machines."""
        return {**self._counts, "skipped": self._skipped}

    def text(self) -> str:
        """For people."""
        lines = [f"{name:<14}{n:>12,}" for name, n in self._counts.items()]
        return "\n".join([*lines, *([f"{'sent before':<14}{self._skipped:>12,}"] if self._skipped else [])])

    def _send(self, name: str, batch: Batch) -> None:
        from lightfm_serve import InvalidError
        from lightfm_serve.client.body_batches import fitting
        from lightfm_serve.client.responses import Accepted

        start = 0
        for call, rows in fitting(_call_of(name), batch.records):
            try:
                answer = self._client.send(call)
            except InvalidError as error:
                raise InvalidDataError(_located(error, batch, start)) from None
            start += len(rows)
            if isinstance(answer, Accepted):
                self._counts["interactions"] += answer.accepted
                self._counts["duplicates"] += answer.duplicates
            else:
                self._counts[name] += answer.created + answer.updated


def _call_of(name: str) -> Callable[[Sequence[Any]], Call[Accepted | Upserted]]:
    """What describes the call that sends users, items or interactions."""
    from lightfm_serve.client import endpoints

    calls: Mapping[str, Callable[[Sequence[Any]], Call[Accepted | Upserted]]] = {
        "items": endpoints.put_items,
        "users": endpoints.put_users,
        "interactions": endpoints.add_interactions,
    }
    return calls[name]


def _located(error: InvalidError, batch: Batch, start: int) -> str:
    """What the service refuses, at its place in the file."""
    fault = error.problem.errors[0] if error.problem.errors else None
    found = re.search(r"\[(\d+)\]", fault.loc) if fault else None
    if fault is None or found is None or start + int(found[1]) >= len(batch.locations):
        return str(error)
    return f"{batch.locations[start + int(found[1])]}: the service refuses it: {fault.loc}: {fault.msg}"


def _bar(total: int | None, doing: str) -> tqdm[Any]:
    return progress_bar(doing, "row", total, unit_scale=True)


def _moved(bar: tqdm[Any], name: str, n: int) -> None:
    bar.set_postfix_str(name, refresh=False)
    bar.update(n)
