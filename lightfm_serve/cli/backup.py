"""Commands that back a state up, while its service runs, and restore it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightfm_serve.cli.group import as_json, say, state_dir_option, tell
from lightfm_serve.cli.trust import trust_of_environment
from recommender.errors import InvalidDataError

if TYPE_CHECKING:
    from recommender.backup import BackupManifest, BackupReport, RestoreReport

EMBEDDED = "embedded"
STORE_VARIABLE = "RECOMMENDER_REDIS_URL"

redis_url_option = click.option(
    "--redis-url",
    help=f"Store: embedded, or a URL.  [default: that of {STORE_VARIABLE} or {STORE_VARIABLE}_FILE, else embedded]",
)


@click.command()
@click.argument("target")
@state_dir_option
@redis_url_option
@click.option("--keep", type=click.IntRange(1), help="Newest back-ups to keep in TARGET.  [default: all]")
@as_json
def backup(target: str, state_dir: str, redis_url: str | None, keep: int | None, as_json: bool) -> None:
    """Back up the state of a service, which may run, into TARGET: a folder, or a URL such as s3://bucket/folder.

    Models, archive, users, items, settings and the log behind the archive, as they are at one moment. What an earlier
    back-up in TARGET has is not written again; what is written is read back and compared. Run it where the state is.
    """
    from recommender.backup import back_up
    from recommender.backup.blobs import BlobStore
    from recommender.backup.manifest import prune_backups
    from recommender.storage.file_store import open_files

    _require_state(state_dir)
    files = open_files(target)
    with store_of(state_dir, redis_url) as url:
        report = asyncio.run(back_up(state_dir, url, files, tell))
    removed = prune_backups(files, BlobStore(files), keep) if keep else []
    say({**_plain(report), "removed": removed}, _backup_text(report, target, removed), as_json)


@click.command()
@click.argument("source")
@click.option("--state-dir", help="Where to: an empty or new folder, or an fsspec URL. Not needed to only --verify.")
@redis_url_option
@click.option(
    "--until", help="Leave out what came later: a time such as 2026-11-26T17:05:00Z (UTC where it has no zone)."
)
@click.option("--verify", is_flag=True, help="Read everything back and compare it with the back-up.")
@as_json
def restore(
    source: str, state_dir: str | None, redis_url: str | None, until: str | None, verify: bool, as_json: bool
) -> None:
    """Restore the newest back-up in SOURCE into an empty state and an empty store.

    With --until the state as it was then: versions that had been trained by then, and of what they had not learned the
    interactions whose own time is not later. With --verify and no --state-dir the back-up alone is read.
    """
    moment = _moment(until)
    if state_dir is None:
        if not verify:
            raise click.UsageError("name an empty folder with --state-dir, or only --verify the back-up")
        _verify_only(source, as_json)
        return
    if "://" not in state_dir:
        Path(state_dir).mkdir(parents=True, exist_ok=True)
    with store_of(state_dir, redis_url, own=True) as url:
        report, counts = asyncio.run(_restore(source, state_dir, url, moment, verify))
    refused = _refused(state_dir)
    text = "\n".join(
        [_restore_text(report, state_dir, counts), *(f"{why}; the service passes it over" for why in refused)]
    )
    say({**_plain(report), "verified": counts, "refused": refused}, text, as_json)


@contextmanager
def store_of(state_dir: str, redis_url: str | None, *, own: bool = False) -> Iterator[str]:
    """URL of the store of a state; an embedded one is started for as long as the block runs, unless it runs already.

    Parameters
    ----------
    state_dir, redis_url
        As the options say.
    own
        Nobody else may use it: a running embedded store is an error.
    """
    from deployments.env_secrets import secret
    from recommender.storage.object_store import is_url
    from recommender.stores import EmbeddedValkey
    from recommender.stores.raw_commands import answers

    url = redis_url or secret(STORE_VARIABLE) or EMBEDDED
    if url != EMBEDDED:
        yield url
        return
    if is_url(state_dir):
        raise InvalidDataError(f"a state at {state_dir} has no embedded store; name its store with --redis-url")
    server = EmbeddedValkey(Path(state_dir) / "store")
    if not own and answers(Path(server.url.removeprefix("unix://"))):
        yield server.url
        return
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


async def _restore(
    source: str, state_dir: str, url: str, moment: datetime | None, verify: bool
) -> tuple[RestoreReport, dict[str, int]]:
    from recommender.backup import restore
    from recommender.backup.verification import verify_restored
    from recommender.storage.file_store import open_files

    files = open_files(source)
    plan, report = await restore(files, state_dir, url, until=moment, progress=tell)
    if not verify:
        return report, {}
    tell("comparing")
    return report, await verify_restored(plan, files, state_dir, url)


def _refused(state_dir: str) -> list[str]:
    """Versions that were restored and will not be served, and why: the environment asks for signatures."""
    from recommender.storage.object_store import within
    from recommender.storage.registry import Registry

    versions = Registry(within(state_dir, "models"), trust_of_environment()).versions()
    return [f"version {each.version} is refused: {each.refused}" for each in versions if each.refused]


def _verify_only(source: str, as_json: bool) -> None:
    from recommender.backup import list_backups, verify_backup
    from recommender.storage.file_store import open_files

    files = open_files(source)
    manifests: list[BackupManifest] = list_backups(files)
    if not manifests:
        raise InvalidDataError(f"there is no back-up in {source}")
    counts = {manifest.name: verify_backup(files, manifest) for manifest in manifests}
    lines = [f"{name}: all {n} contents are as they were written" for name, n in counts.items()]
    say({"verified": counts}, "\n".join(lines), as_json)


def _require_state(state_dir: str) -> None:
    if "://" not in state_dir and not Path(state_dir).is_dir():
        raise InvalidDataError(f"there is no folder {Path(state_dir).absolute()}; name the service's with --state-dir")


def _moment(until: str | None) -> datetime | None:
    if until is None:
        return None
    try:
        moment = datetime.fromisoformat(until)
    except ValueError:
        raise click.BadParameter(f"{until!r} is no time; write 2026-11-26T17:05:00Z", param_hint="--until") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _plain(report: BackupReport | RestoreReport) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in vars(report).items()}


def _backup_text(report: BackupReport, target: str, removed: list[str]) -> str:
    lines = [
        f"backed up into {target}: {report.name}, as of {report.instant:%Y-%m-%d %H:%M:%S} UTC",
        f"{report.versions} versions, {report.files} files, {report.interactions_in_log:,} log entries",
        f"{_mib(report.written_bytes)} written and read back, {_mib(report.reused_bytes)} were there",
    ]
    return "\n".join([*lines, *(f"removed {name}" for name in removed)])


def _restore_text(report: RestoreReport, state_dir: str, counts: dict[str, int]) -> str:
    lines = [
        f"restored {report.name}, as of {report.instant:%Y-%m-%d %H:%M:%S} UTC, into {state_dir}",
        f"{report.versions} versions (serves {report.serving or 'none'}), {report.users:,} users, "
        f"{report.items:,} items, {report.interactions_in_log:,} log entries",
    ]
    compared = ", ".join(f"{n:,} {name}" for name, n in counts.items())
    return "\n".join([*lines, *([f"read back and compared: {compared}"] if counts else [])])


def _mib(n: int) -> str:
    return f"{n / 2**20:,.1f} MiB"
