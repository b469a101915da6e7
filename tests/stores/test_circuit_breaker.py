"""After one call has waited for nothing, the others do not wait, until the store answers again."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from recommender.errors import StoreUnavailableError
from recommender.stores import Store
from recommender.stores.redis_store import PROMPTLY_S
from tests.support.store_servers import Proxy, Server, click, opened, run


async def ms_to_refuse(store: Store) -> float:
    began = time.perf_counter()
    with pytest.raises(StoreUnavailableError):
        await store.append([click()])
    return (time.perf_counter() - began) * 1e3


def test_one_call_waits_and_the_rest_are_refused_at_once_until_the_server_goes_on(own_redis: Server) -> None:
    async def work() -> tuple[float, list[float], float]:
        async with opened(own_redis.tcp_url, promptly_s=PROMPTLY_S) as store:
            await store.append([click()])
            os.kill(own_redis.process.pid, signal.SIGSTOP)
            first = await ms_to_refuse(store)
            rest = [await ms_to_refuse(store) for _ in range(50)]
            os.kill(own_redis.process.pid, signal.SIGCONT)
            began = time.perf_counter()
            while True:
                try:
                    await store.append([click()])
                    return first, rest, time.perf_counter() - began
                except StoreUnavailableError:
                    await asyncio.sleep(0.01)

    first_ms, rest_ms, recovery_s = run(work())

    assert 200 < first_ms < 1000
    assert max(rest_ms) < 50
    assert recovery_s < 1


def test_ten_thousand_records_may_take_longer_than_one(own_redis: Server) -> None:
    async def work() -> None:
        proxy = Proxy(own_redis.port)
        async with proxy.running(), opened(f"redis://127.0.0.1:{proxy.port}/0", promptly_s=PROMPTLY_S) as store:
            await store.append([click()])
            proxy.delay_s = 0.4
            await store.append([click(f"u{number}") for number in range(2_000)])
            assert await ms_to_refuse(store) < 400

    run(work())


def test_a_server_that_is_too_slow_to_connect_to_within_a_call_is_connected_to_meanwhile(own_redis: Server) -> None:
    async def work() -> None:
        proxy = Proxy(own_redis.port)
        async with proxy.running(), opened(f"redis://127.0.0.1:{proxy.port}/0", fetch_timeout_s=0.12) as store:
            proxy.delay_s = 0.08  # one round trip fits into a call, connecting takes several
            began = time.perf_counter()
            while True:
                try:
                    await store.fetch(["u"])
                    break
                except StoreUnavailableError:
                    assert time.perf_counter() - began < 3
                    await asyncio.sleep(0.02)

    run(work())


def test_a_server_that_is_gone_is_named_as_such_by_every_call(own_redis: Server) -> None:
    async def work() -> None:
        async with opened(own_redis.tcp_url) as store:
            await store.append([click()])
            own_redis.end()
            for _ in range(3):
                with pytest.raises(StoreUnavailableError, match="is away"):
                    await store.append([click()])

    run(work())
