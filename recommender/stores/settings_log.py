"""Protocol of the settings of a service: named documents, each change with a number, the last changes kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

SettingKind = Literal["placement", "experiment"]

KEPT_CHANGES = 50
"""Changes of one setting that stay readable."""


class SettingChange(NamedTuple):
    """One change of a setting: the document as it was put, None where it was deleted."""

    kind: SettingKind
    name: str
    number: int
    """Counts the changes of all settings from 1 on."""
    at: float
    """Seconds since the epoch."""
    document: bytes | None


class SettingPut(NamedTuple):
    """A document to be put under a name, None to delete it."""

    kind: SettingKind
    name: str
    document: bytes | None


class StoredSettings(NamedTuple):
    """All settings as they are, and the number of the newest change."""

    number: int
    settings: list[SettingChange]


class SettingsLog(Protocol):
    """Store of settings. Errors as for `recommender.stores.protocols.InteractionLog`.

    `FeatureStore.fetch` brings the number of the newest change with each request, so that who has another one reads
    the settings anew.
    """

    async def settings(self) -> StoredSettings:
        """All settings that are not deleted, in one round trip."""
        ...

    async def put_settings(self, puts: Sequence[SettingPut], at: float, after: int | None = None) -> int | None:
        """Put or delete settings in this order, all or none; each is a change with a number of its own.

        Parameters
        ----------
        puts
            What is changed.
        at
            When, in seconds since the epoch.
        after
            Number that the newest change must have, so that nobody's change in between is overwritten unseen; None
            for any.

        Returns
        -------
        Number of the last of these changes; None where `after` is not the newest, and nothing was changed.
        """
        ...

    async def setting_history(self, kind: SettingKind, name: str) -> list[SettingChange]:
        """The last `KEPT_CHANGES` changes of a setting, newest first; none for a name that never was one."""
        ...
