"""Batch recommendation with Ray Data: blocks of users in, a Parquet file for each out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data
from numpy.typing import NDArray
from ray.exceptions import RayError

from recommender.errors import RecommenderError
from recommender.serving.batch import BatchRecommender, Lists
from recommender.serving.catalogue import Catalogue
from recommender.serving.catalogue_sync import catch_up
from recommender.serving.snapshot import Snapshot
from recommender.storage import atomic_files
from recommender.storage.registry import Artifact
from recommender.stores import RedisStore

FETCHED_AT_ONCE = 1000
STORE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class BatchPlan:
    """Settings of a batch job; they travel to every worker.

    Parameters
    ----------
    out
        Folder of the files, which every node sees.
    k, exclude_seen, filters
        As in a request.
    block
        Users a file.
    n_learned
        Users of the version.
    others
        Users whom only the store knows.
    store_url
        Where users are asked for as they are now; None: as the version learned them.
    """

    out: Path
    k: int
    exclude_seen: bool
    filters: tuple[str, ...]
    block: int
    n_learned: int
    others: tuple[str, ...]
    store_url: str | None

    @property
    def n_users(self) -> int:
        """All of them."""
        return self.n_learned + len(self.others)

    def path(self, block: int) -> Path:
        """File of a block."""
        return self.out / f"part-{block:06d}.parquet"

    def pending(self) -> list[int]:
        """Blocks without a file; one that was begun has none."""
        return [block for block in range(-(-self.n_users // self.block)) if not self.path(block).exists()]


def run(version: str, artifact: Artifact, plan: BatchPlan, workers: int | None) -> Iterator[int]:
    """Write the files that are missing; gives the users of each as it is done.

    Parameters
    ----------
    version, artifact
        What serves.
    plan
        What to do.
    workers
        Processes; as many as the cluster has processors when absent.

    Raises
    ------
    RecommenderError
        A worker failed; the files that are there are whole.
    """
    pending = plan.pending()
    if not pending:
        return
    with _ray():
        n = min(len(pending), workers or int(ray.cluster_resources().get("CPU", 1)))
        # one copy a node, however many workers read it; boxed, so that it arrives as a reference
        boxed = [ray.put(dict(artifact.parts["snapshot"]))]
        meta = {**artifact.meta.snapshot, "version": version}
        blocks = ray.data.from_items([{"block": block} for block in pending], override_num_blocks=len(pending))
        done = blocks.map_batches(
            Worker,
            fn_constructor_args=(boxed, meta, plan),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=n),
            num_cpus=1,
        )
        try:
            for batch in done.iter_batches(batch_size=None, prefetch_batches=0):
                yield int(batch["users"].sum())
        except RayError as error:
            why = str(error).strip().rpartition("\n")[2]
            raise RecommenderError(f"the batch stopped, and goes on when it is started again: {why}") from error


class Worker:
    """Ray Data worker that ranks for blocks of users over the one snapshot of its node."""

    def __init__(self, boxed: list[Any], meta: dict[str, Any], plan: BatchPlan) -> None:
        snapshot = Snapshot.from_arrays(ray.get(boxed[0]), meta)
        self._everyone = BatchRecommender(snapshot, plan.k, exclude_seen=plan.exclude_seen, filters=plan.filters)
        self._snapshot, self._plan = snapshot, plan
        self._loop = asyncio.Runner()
        self._store = RedisStore(plan.store_url, fetch_timeout_s=STORE_TIMEOUT_S) if plan.store_url else None
        if self._store:
            self._loop.run(catch_up(self._everyone.catalogue, self._store))
        self._item_ids = item_ids(self._everyone.catalogue)

    def __call__(self, batch: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
        """Write the files of some blocks."""
        written = [self._write(block) for block in batch["block"].tolist()]
        return {"users": np.array(written, np.int64)}

    def _write(self, block: int) -> int:
        plan = self._plan
        first, last = block * plan.block, min((block + 1) * plan.block, plan.n_users)
        own = range(first, min(last, plan.n_learned))
        others = plan.others[max(0, first - plan.n_learned) : max(0, last - plan.n_learned)]
        user_ids = [*self._snapshot.user_ids.ids_of(own), *others]
        with atomic_files.replacing(plan.path(block)) as file:
            pq.write_table(table(user_ids, self._item_ids, self._ranked(own, user_ids)), file, compression="zstd")
        return len(user_ids)

    def _ranked(self, own: range, user_ids: list[str]) -> Lists:
        if self._store is None:
            return self._everyone.learned(own.start, own.stop)
        pages = [user_ids[start : start + FETCHED_AT_ONCE] for start in range(0, len(user_ids), FETCHED_AT_ONCE)]
        states = [state for page in pages for state in self._loop.run(self._store.fetch(page)).users]
        return self._everyone.stored(user_ids, states)


def item_ids(catalogue: Catalogue) -> pa.Array:
    """Ids by position, over the memory of the snapshot."""
    texts = catalogue.snapshot.item_ids.texts
    buffers = [None, pa.py_buffer(texts.offsets), pa.py_buffer(texts.data)]
    old = pa.LargeStringArray.from_buffers(len(texts), *buffers[1:])
    delta = pa.array([item.item_id for item in catalogue.delta.details], pa.large_string())
    return pa.concat_arrays([old, delta]) if len(delta) else old


def table(user_ids: list[str], items: pa.Array, lists: Lists) -> pa.Table:
    """Lists as rows: ``user_id``, ``rank`` from 1 on, ``item_id``, ``score``."""
    ends = np.cumsum(lists.lengths)
    rank = np.arange(1, len(lists.positions) + 1) - np.repeat(ends - lists.lengths, lists.lengths)
    return pa.table(
        {
            "user_id": pa.array(user_ids, pa.large_string()).take(pa.array(np.repeat(lists.users, lists.lengths))),
            "rank": pa.array(rank.astype(np.int32)),
            "item_id": items.take(pa.array(lists.positions)),
            "score": pa.array(lists.scores),
        }
    )


@contextmanager
def _ray() -> Iterator[None]:
    """A cluster: the one that is there, else one for the length of this."""
    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    # Ray Data has a progress of its own, and tells at each start where its logs are
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    try:
        yield
    finally:
        if started:
            ray.shutdown()
