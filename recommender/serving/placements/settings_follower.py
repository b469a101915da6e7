"""SettingsFollower: the settings of a process, read anew when a request has heard of another number."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from recommender.errors import StoreError
from recommender.serving.placements.settings import Settings
from recommender.stores.settings_log import SettingsLog

logger = logging.getLogger("recommender.settings")


class SettingsFollower:
    """Cache of the settings that is invalidated by their number, which comes with every fetch of a request.

    Parameters
    ----------
    store
        Where they are.
    """

    def __init__(self, store: SettingsLog) -> None:
        self._store = store
        self._settings = Settings()
        self._reading = asyncio.Lock()

    async def reach(self, number: int | None) -> tuple[Settings, bool]:
        """Settings no older than a number.

        Parameters
        ----------
        number
            As the store had it when the request came; None where the store did not answer.

        Returns
        -------
        The settings, and whether they are current; where the store does not answer they are those of before.
        """
        if number == self._settings.number:
            return self._settings, True
        if number is None:
            return self._settings, False
        async with self._reading:
            is_current = number == self._settings.number or await self._read()
        return self._settings, is_current

    async def _read(self) -> bool:
        try:
            self._settings = Settings.of(await self._store.settings())
        except (StoreError, msgspec.MsgspecError) as error:
            logger.warning("going on with the settings of before: %s", error)
            return False
        return True
