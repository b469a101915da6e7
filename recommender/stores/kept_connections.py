"""Kept connections: commands of the hot path, without what redis-py does around each.

To take a connection from the pool, ask whether it is still open, time it and give it back costs as much processor time
as the command itself. Here a connection stays with this object between two commands.
"""

from __future__ import annotations

from typing import Any

import redis.asyncio as redis
from redis.exceptions import ResponseError

MOST_IDLE = 8
"""Connections that are kept; the others go back to the pool."""


class KeptConnections:
    """Connections of a pool that are kept for the next command.

    A connection that was closed meanwhile is noticed by its failure only: this is for commands that may be repeated.

    Parameters
    ----------
    pool
        Where connections come from.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool: Any = pool
        self._idle: list[Any] = []

    async def ask(self, *words: Any) -> Any:
        """Answer to one command.

        Raises
        ------
        ResponseError
            The server refuses it.
        Exception
            Whatever the connection has to say; it is closed.
        """
        connection = self._idle.pop() if self._idle else await self._pool.get_connection()
        try:
            await connection.send_command(*words, check_health=False)
            answer = await connection.read_response()
        except ResponseError:
            await self._pool.release(connection)  # for what is done about it
            raise
        except BaseException:
            # also when it is cancelled: the answer to this command must not be taken for that to the next
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)
            raise
        await self._keep(connection)
        return answer

    async def release(self) -> None:
        """Give every idle connection back to the pool."""
        while self._idle:
            await self._pool.release(self._idle.pop())

    async def _keep(self, connection: Any) -> None:
        if len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            await self._pool.release(connection)
