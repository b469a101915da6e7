"""The way to the store, which can be slow or lose answers, in a thread of its own."""

import asyncio
import threading

from tests.support.store_servers import Proxy


class FaultyLink:
    """A proxy in front of a server; its faults are set from any thread."""

    def __init__(self, server_port: int) -> None:
        self.proxy = Proxy(server_port)
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))

    def __enter__(self) -> "FaultyLink":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.proxy.port}/0"

    async def _run(self) -> None:
        async with self.proxy.running():
            self._ready.set()
            await self._end.wait()
