"""Exposure keeping: the part of the trainer that takes over what was shown and attributes what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from deployments.args import ExposureArgs
from deployments.telemetry import metrics
from recommender.errors import RecommenderError, StateUnavailableError
from recommender.evaluation.experiment_counts import VariantCounts
from recommender.exposures.attribution import Attributed
from recommender.exposures.buffer import count_in_stream, erase_from_stream
from recommender.exposures.experiment_counts import LedgerCounts
from recommender.exposures.follower import LOOK_EVERY_S, ExposureFollower, FirstSeen
from recommender.exposures.keeper import ExposureKeeper, parse_cursor, to_json
from recommender.exposures.report import AttributionQuery, report
from recommender.stores.protocols import Store

logger = logging.getLogger("recommender.exposures")


class ExposureKeeping:
    """Runs the exposure follower beside the trainings, and answers what it has.

    Parameters
    ----------
    state_dir
        Folder of the state, or its URL.
    store
        With the stream of exposures and the log.
    args
        How long they are kept, and what is attributed.
    first_seen
        Since when items have had interactions.
    """

    def __init__(self, state_dir: str, store: Store, args: ExposureArgs, first_seen: FirstSeen) -> None:
        self._state_dir, self._store, self._args = state_dir, store, args
        self._first_seen = first_seen
        self._keeper: ExposureKeeper | None = None
        self._follower: ExposureFollower | None = None
        self.health = "ok"
        self._task = asyncio.create_task(self._follow())

    @property
    def attributed_through(self) -> int:
        """Offset of the log up to which all is attributed for good; what is behind may not be trimmed."""
        return self._keeper.durable.log if self._keeper else 0

    async def page(self, cursor: str | None, limit: int) -> bytes:
        """JSON of a page of exposures, newest first, without those of users who are deleted."""
        keeper, follower = self._opened()
        # before the page: a deletion that is taken over while it is read is then still looked for
        known = (await asyncio.to_thread(keeper.ledger.offsets)).log
        page = await asyncio.to_thread(keeper.page, parse_cursor(cursor), limit)
        users = sorted({exposure.user_id for _, exposure in page.rows if exposure.user_id is not None})
        hidden = await follower.hidden_users(users, known)
        kept = [row for row in page.rows if row[1].user_id not in hidden]
        return to_json(page, await asyncio.to_thread(keeper.as_json, kept))

    async def attribution(self, query: AttributionQuery, n_items: int | None) -> bytes:
        """JSON of the attribution report."""
        keeper, _ = self._opened()
        return msgspec.json.encode(await asyncio.to_thread(report, keeper.ledger, query, n_items))

    async def experiment_counts(self, experiment: str, event: str) -> Mapping[str, VariantCounts]:
        """What judging an experiment needs of each variant."""
        keeper, _ = self._opened()
        return await asyncio.to_thread(LedgerCounts(keeper.ledger).counts, experiment, event)

    name = "exposures"

    async def erase(self, user_id: str, through: int) -> int:  # noqa: ARG002 (all that was shown so far)
        """Take out what there is of a user; returns how many exposures it was."""
        keeper, _ = self._opened()
        await erase_from_stream(self._store, user_id)
        return await asyncio.to_thread(keeper.erase_user, user_id)

    async def look(self, user_id: str) -> tuple[str, int]:
        """What was searched, in words, and how many exposures are there of a user."""
        keeper, _ = self._opened()
        n = await asyncio.to_thread(keeper.count_of, user_id) + await count_in_stream(self._store, user_id)
        return f"the stream, the ledger, and {len(keeper.segments())} segments of what was shown", n

    def check(self) -> None:
        """Raise where following has ended."""
        if self._task.done():
            raise RuntimeError(f"nobody follows the exposures: {self._task}")

    async def _follow(self) -> None:
        while True:
            try:
                if self._follower is None:
                    await self._open()
                await self._opened()[1].follow()
                self.health = "ok"
            except (RecommenderError, OSError) as error:
                self.health = f"degraded: {error}"
                logger.warning("exposures are not followed: %s", error)
            except Exception as error:
                self.health = f"degraded: {error!r}"
                logger.exception("exposures are not followed")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _open(self) -> None:
        args = self._args
        keeper = await asyncio.to_thread(ExposureKeeper, self._state_dir, args.keep_days, args.window_s)
        self._keeper, self._follower = keeper, ExposureFollower(keeper, self._store, self._first_seen, _count)

    def _opened(self) -> tuple[ExposureKeeper, ExposureFollower]:
        if self._keeper is None or self._follower is None:
            raise StateUnavailableError(f"the ledger of exposures is not open yet ({self.health})")
        return self._keeper, self._follower


def _count(attributed: Sequence[Attributed]) -> None:
    """Count what was attributed, for the hit rate by model version."""
    seen = Counter(each.last_version for each in attributed if each.last_version is not None)
    for version, amount in seen.items():
        hits = sum(each.last_version == version and each.recommendation_id is not None for each in attributed)
        metrics.count(metrics.ONLINE_INTERACTIONS, amount, model_version=version)
        metrics.count(metrics.ONLINE_HITS, hits, model_version=version)
