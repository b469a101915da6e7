"""Exposure follower: takes exposures out of the stream and interactions out of the log, and attributes them.

An interaction is looked at when it has been in the log for `SETTLE_S`: its exposure, which was written beside the
answer, is in the stream by then. So attribution is as fresh as that and a look together, 3 to 4 seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from recommender.exposures.attribution import Attributed, attribute
from recommender.exposures.keeper import ExposureKeeper
from recommender.exposures.ledger import readable
from recommender.stores.exposure_stream import PAGE, ExposureEntry
from recommender.stores.protocols import Store

logger = logging.getLogger("recommender.exposures")

SETTLE_S = 2.0
"""How long an interaction waits for its exposure."""
LOOK_EVERY_S = 1.0
USERS_AT_ONCE = 200

FirstSeen = Callable[[], Awaitable[Mapping[str, float]]]


class ExposureFollower:
    """Keeps a ledger up to date with the store.

    Parameters
    ----------
    keeper
        Of the ledger.
    store
        With stream and log.
    first_seen
        Since when items have had interactions, in seconds since the epoch; asked once, before the first exposure.
    told
        Is given what was attributed, a page at a time, for metrics.
    clock
        Seconds that never go back.
    """

    def __init__(
        self,
        keeper: ExposureKeeper,
        store: Store,
        first_seen: FirstSeen | None = None,
        told: Callable[[Sequence[Attributed]], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keeper, self._store = keeper, store
        self._first_seen, self._told = first_seen, told
        self._clock = clock
        self._trials: dict[str, tuple[int, int]] = {}
        self._marks: deque[tuple[float, int]] = deque()

    async def run(self) -> None:
        """Follow until cancelled; what goes wrong is told, and tried again."""
        while True:
            try:
                await self.follow()
            except Exception as error:  # noqa: BLE001 (whatever it was, without this nothing is attributed any more)
                logger.warning("exposures are not followed: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def follow(self) -> None:
        """Take over what is there now.

        Raises
        ------
        StoreError
            The store does not answer; nothing is lost.
        ArtifactError
            The disk fails; nothing is lost.
        """
        through = await self._settled()
        await self._take_exposures()
        await self._take_interactions(through)
        await self._tell_trials()
        await asyncio.to_thread(self._keeper.archive)
        durable = self._keeper.durable
        if durable.stream:
            await self._store.trim_exposures(durable.stream)

    async def _settled(self) -> int:
        """Offset of the log up to which interactions have waited long enough."""
        state = await self._store.state()
        ledger = self._keeper.ledger
        known = (await asyncio.to_thread(ledger.offsets)).log
        if state.trimmed_through > known:
            # what the log had before there was a ledger, or what there was no room for until it would have been read
            await self._pass_over(known, state.trimmed_through)
        if state.last_offset < known:
            logger.warning("the log has come back with less than it had; attribution goes on with what is new")
            await asyncio.to_thread(ledger.restart_log, state.last_offset)
            self._marks.clear()
        now = self._clock()
        self._marks.append((now, state.last_offset))
        settled = [offset for at, offset in self._marks if now - at >= SETTLE_S]
        while len(self._marks) > 1 and now - self._marks[1][0] >= SETTLE_S:
            self._marks.popleft()
        return max(settled, default=0)

    async def _pass_over(self, known: int, through: int) -> None:
        """Go on behind what the log has no more; users whose deletion was in there are erased nevertheless."""
        users = sorted(await asyncio.to_thread(self._keeper.users))
        for start in range(0, len(users), USERS_AT_ONCE):
            for user_id in await self.hidden_users(users[start : start + USERS_AT_ONCE], known):
                await asyncio.to_thread(self._keeper.erase_user, user_id)
        await asyncio.to_thread(self._keeper.ledger.advance_log, through)

    async def _take_exposures(self) -> None:
        ledger = self._keeper.ledger
        after = (await asyncio.to_thread(ledger.offsets)).stream
        while page := await self._store.read_exposures(after, PAGE):
            await self._note_items(page)
            await asyncio.to_thread(ledger.add_exposures, page)
            after = page[-1].offset

    async def _note_items(self, page: Sequence[ExposureEntry]) -> None:
        """Note since when the items of exposures are there, where that is not known yet."""
        ledger = self._keeper.ledger
        if self._first_seen is not None:
            await asyncio.to_thread(ledger.add_items, await self._first_seen())
            self._first_seen = None
        unknown = sorted(await asyncio.to_thread(ledger.unknown_items, page))
        if unknown:
            put = [item for item in await self._store.get_items(unknown) if item is not None]
            first = min(exposure.at for _, exposure in readable(page))
            put_at = {item.item_id: min(item.updated_at, first) for item in put}
            await asyncio.to_thread(ledger.add_items, put_at)

    async def _take_interactions(self, through: int) -> None:
        keeper = self._keeper
        after = (await asyncio.to_thread(keeper.ledger.offsets)).log
        while after < through:
            page = [entry for entry in await self._store.read(after, PAGE) if entry.offset <= through]
            end = page[-1].offset if page else through
            outcome = await asyncio.to_thread(attribute, keeper.ledger, page, end, time.time(), keeper.window_s)
            self._told(outcome.attributed)
            after = end

    async def _tell_trials(self) -> None:
        """Let those who explore know what came of it."""
        trials = await asyncio.to_thread(self._keeper.ledger.trials)
        if trials != self._trials:
            await self._store.put_trials(msgspec.msgpack.encode(trials))
            self._trials = trials

    async def hidden_users(self, user_ids: Sequence[str], known: int) -> set[str]:
        """Those of some users whose deletion is in the log behind the offset `known`."""
        states = (await self._store.fetch(list(user_ids))).users
        return {user_id for user_id, state in zip(user_ids, states, strict=True) if state.deleted_at > known}
