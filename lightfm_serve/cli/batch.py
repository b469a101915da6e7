"""The command ``recommender batch``."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightfm_serve.cli.group import as_json, progress_bar, say, tell
from lightfm_serve.cli.trust import load_current, trust_of_environment
from recommender.deferred_imports import check_installed
from recommender.errors import InvalidDataError, InvalidRequestError
from recommender.storage import atomic_files

if TYPE_CHECKING:
    from recommender.ids import IdTable
    from recommender.storage.registry import Artifact

ABOUT, OTHERS, SUCCESS = "_batch.json", "_others.json", "_SUCCESS"
"""Beside the Parquet files; whoever reads the folder as one table passes over names that begin so."""
PAGE, LOG_PAGE = 1000, 10_000


def _filters(_ctx: click.Context, _parameter: click.Parameter, given: Sequence[str]) -> tuple[str, ...]:
    from recommender.serving.filters import Filter

    try:
        Filter.parse(given)
    except InvalidRequestError as error:
        raise click.BadParameter(str(error)) from error
    return tuple(given)


@click.command()
@click.option("--model", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the files.")
@click.option("--k", "-k", type=click.IntRange(1, 1000), default=10, show_default=True, help="Length of the lists.")
@click.option("--filter", "filters", multiple=True, callback=_filters, help="As in a request: genres:Comedy.")
@click.option("--keep-seen", is_flag=True, help="Recommend what users have interacted with, too.")
@click.option("--redis-url", help="Store of the service (or embedded): users and items as they are now.")
@click.option("--block", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="Users a file.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: the processors of the cluster]")
@as_json
def batch(
    model: Path,
    out: Path,
    k: int,
    filters: tuple[str, ...],
    keep_seen: bool,
    redis_url: str | None,
    block: int,
    workers: int | None,
    as_json: bool,
) -> None:
    """Write the best items of every user to Parquet, on Ray Data.

    MODEL is the service's state_dir, a folder of versions, or one version. The files have a row for each user and
    item: user_id, rank, item_id, score. Without --redis-url users are as the version learned them. An interrupted
    batch goes on when the command is given again: files that are there are whole. RAY_ADDRESS names a cluster; its
    nodes must all see --out.
    """
    from recommender.ids import IdTable, without_prefix
    from recommender.stores import EmbeddedValkey

    check_installed("fsspec", extra="batch")  # what ray[data] brings beyond ray[serve]
    version, artifact = _loaded(model)
    if redis_url == "embedded":
        # a folder's store always listens at the same place; it is that of the running service
        redis_url = EmbeddedValkey(model / "store").url
    about = {"version": version, "k": k, "filter": [*filters], "exclude_seen": not keep_seen, "block": block}
    out.mkdir(parents=True, exist_ok=True)
    _check_same(out, {**about, "store": redis_url is not None})
    users = IdTable.from_arrays(without_prefix("user_ids", artifact.parts["snapshot"]))
    others = _others(out, redis_url, users, artifact.meta.log_offset) if redis_url else ()
    tell("starting Ray")
    # Ray takes a second to import, which --help need not wait for
    batching = importlib.import_module("deployments.jobs.batch")
    plan = batching.BatchPlan(
        out.absolute(), k, not keep_seen, tuple(filters), block, len(users), tuple(others), redis_url
    )
    before = plan.n_users - sum(min(block, plan.n_users - each * block) for each in plan.pending())
    with progress_bar("batch", "user", plan.n_users, initial=before) as bar:
        for done in batching.run(version, artifact, plan, workers):
            bar.update(done)
    (out / SUCCESS).touch()
    content = {**about, "users": plan.n_users, "done_before": before, "out": str(out)}
    say(content, f"{plan.n_users:,} users of version {version} in {out}", as_json)


def _loaded(model: Path) -> tuple[str, Artifact]:
    """Version to rank with: the one that is named, else the current one."""
    from recommender.storage.registry import Registry

    trust = trust_of_environment()
    if (model / "manifest.json").is_file():
        return model.name, Registry(model.parent, trust).load(model.name)
    folder = model / "models" if (model / "models").is_dir() else model
    return load_current(Registry(folder, trust), f"there is no version that can serve in {folder}")


def _check_same(out: Path, about: dict[str, Any]) -> None:
    """Begin a batch, or go on with the same one."""
    path = out / ABOUT
    if not path.is_file():
        with atomic_files.replacing(path) as file:
            file.write(json.dumps(about).encode())
        return
    before = json.loads(path.read_bytes())
    if before != about:
        told = ", ".join(f"{name} {before.get(name)!r}" for name in about if before.get(name) != about[name])
        raise InvalidDataError(f"{out} has another batch, with {told}; name another folder")


def _others(out: Path, redis_url: str, users: IdTable, log_offset: int) -> list[str]:
    """Users whom only the store knows, the same when a batch goes on."""
    from recommender.ids import UNKNOWN

    path = out / OTHERS
    if not path.is_file():
        found = asyncio.run(_stored_users(redis_url, log_offset))
        unknown = [user for user, index in zip(found, users.indices_of(found), strict=True) if index == UNKNOWN]
        with atomic_files.replacing(path) as file:
            file.write(json.dumps(unknown).encode())
    others: list[str] = json.loads(path.read_bytes())
    return others


async def _stored_users(redis_url: str, log_offset: int) -> list[str]:
    """Users who were put, and those of interactions that the version has not learned."""
    from recommender.stores import RedisStore
    from recommender.stores.protocols import Interaction

    store = RedisStore(redis_url)
    found: dict[str, None] = {}
    try:
        more, cursor = True, None
        while more:
            page, cursor = await store.list_users(cursor, PAGE)
            found |= dict.fromkeys(user.user_id for user in page)
            more = cursor is not None
        while entries := await store.read(log_offset, LOG_PAGE):
            log_offset = entries[-1].offset
            found |= dict.fromkeys(each.event.user_id for each in entries if isinstance(each.event, Interaction))
        return list(found)
    finally:
        await store.close()
