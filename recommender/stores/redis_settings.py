"""RedisSettings: the settings part of the store over Redis 7 or Valkey.

Keys, under the prefix of `RedisStore`:

``settings``, ``settings:seq``
    Hash of the newest change of each setting that is not deleted, by ``KIND:NAME``, and the number of the newest.
``settings:KIND:NAME``
    List of the last changes of a setting, newest first.

A change stands as ``NUMBER TIME DOCUMENT``, without a document where the setting was deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from recommender.errors import StoreError
from recommender.stores.connection import Connection
from recommender.stores.settings_log import KEPT_CHANGES, SettingChange, SettingKind, SettingPut, StoredSettings


class RedisSettings:
    """Settings in Redis or Valkey, as a part of `RedisStore`, whose connection and prefix it uses."""

    _connection: Connection
    _prefix: str

    async def settings(self) -> StoredSettings:
        """See `SettingsLog`."""
        async with self._connection.session() as client, client.pipeline(transaction=True) as pipe:
            pipe.get(self._prefix + "settings:seq")
            pipe.hgetall(self._prefix + "settings")
            number, found = await pipe.execute()
        return StoredSettings(int(number or 0), [_change(*_key(key), record) for key, record in sorted(found.items())])

    async def put_settings(self, puts: Sequence[SettingPut], at: float, after: int | None = None) -> int | None:
        """See `SettingsLog`."""
        words = [word for put in puts for word in (f"{put.kind}:{put.name}", put.document or b"")]
        condition = "" if after is None else after
        number = await self._connection.run("put_settings", self._prefix, [condition, repr(at), KEPT_CHANGES, *words])
        return None if number is None else int(number)

    async def setting_history(self, kind: SettingKind, name: str) -> list[SettingChange]:
        """See `SettingsLog`."""
        async with self._connection.session() as client:
            found = await client.lrange(f"{self._prefix}settings:{kind}:{name}", 0, KEPT_CHANGES - 1)
        return [_change(kind, name, record) for record in found]


def _key(key: bytes) -> tuple[SettingKind, str]:
    kind, _, name = key.decode().partition(":")
    for known in get_args(SettingKind):
        if kind == known:
            return known, name
    raise StoreError(f"a setting of kind {kind!r} was written by a later release")


def _change(kind: SettingKind, name: str, record: bytes) -> SettingChange:
    try:
        number, at, document = record.split(b" ", 2)
        return SettingChange(kind, name, int(number), float(at), document or None)
    except ValueError as error:
        raise StoreError(f"the {kind} {name!r} cannot be read: {error}") from error
