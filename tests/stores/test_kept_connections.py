"""Commands of the hot path go over connections that are kept, and whoever closes those is not noticed outside."""

import asyncio

import pytest

from recommender.stores.kept_connections import MOST_IDLE
from tests.support.store_servers import opened, user


async def connections(store) -> list[str]:
    """Ids of the server's connections that have run a script last."""
    async with store._connection.session() as client:
        return [each["id"] for each in await client.client_list() if each["cmd"].startswith("evalsha")]


async def known(store) -> bool:
    return (await store.fetch(["ann"])).users[0].features == {"age": 3}


@pytest.fixture
def story(server_url):
    def run(steps):
        async def told():
            async with opened(server_url, prefix="{kept}:", fetch_timeout_s=5.0) as store:
                await store.put_users([user("ann", age=3)])
                return await steps(store)

        return asyncio.run(told())

    return run


def test_one_connection_serves_one_command_after_another(story):
    async def steps(store):
        return [await known(store) for _ in range(5)], len(await connections(store))

    assert story(steps) == ([True] * 5, 1)


def test_a_connection_that_the_server_has_closed_and_scripts_that_it_has_forgotten_cost_no_answer(story):
    async def steps(store):
        answers = [await known(store) for _ in range(3)]
        async with store._connection.session() as client:
            for each in await connections(store):
                await client.client_kill_filter(_id=each)
            answers += [await known(store) for _ in range(3)]
            await client.script_flush()
        return answers + [await known(store) for _ in range(3)]

    assert story(steps) == [True] * 9


def test_who_gives_up_leaves_no_answer_behind_for_the_next(story):
    async def steps(store):
        await known(store), await known(store)
        for patience_s in (0, 0, 0.0002, 0.0005):
            task = asyncio.create_task(store.fetch(["nobody"] * 200))
            await asyncio.sleep(patience_s)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await known(store)
        return True

    assert story(steps)


def test_many_at_once_are_all_answered_and_few_connections_are_kept(story):
    async def steps(store):
        answers = await asyncio.gather(*(known(store) for _ in range(30)))
        return all(answers), len(store._hot._kept._idle) <= MOST_IDLE

    assert story(steps) == (True, True)
