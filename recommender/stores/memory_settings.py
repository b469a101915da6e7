"""MemorySettings: the settings part of the store in this process."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.stores.settings_log import KEPT_CHANGES, SettingChange, SettingKind, SettingPut, StoredSettings


class MemorySettings:
    """Settings in this process, with their history; gone with it."""

    def __init__(self) -> None:
        self._settings_number = 0
        self._setting_changes: dict[tuple[SettingKind, str], list[SettingChange]] = {}

    async def settings(self) -> StoredSettings:
        """See `SettingsLog`."""
        newest = [changes[0] for _, changes in sorted(self._setting_changes.items())]
        return StoredSettings(self._settings_number, [each for each in newest if each.document is not None])

    async def put_settings(self, puts: Sequence[SettingPut], at: float, after: int | None = None) -> int | None:
        """See `SettingsLog`."""
        if after is not None and after != self._settings_number:
            return None
        for put in puts:
            self._settings_number += 1
            changes = self._setting_changes.setdefault((put.kind, put.name), [])
            changes.insert(0, SettingChange(put.kind, put.name, self._settings_number, at, put.document))
            del changes[KEPT_CHANGES:]
        return self._settings_number

    async def setting_history(self, kind: SettingKind, name: str) -> list[SettingChange]:
        """See `SettingsLog`."""
        return list(self._setting_changes.get((kind, name), ()))
