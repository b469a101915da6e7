"""The commands `backup` and `restore`, over a state whose store runs, does not run, and is a server of somebody's."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from lightfm_serve.cli import main
from recommender.storage.registry import Registry
from recommender.stores import EmbeddedValkey
from recommender.stores.protocols import Interaction
from tests.support.shelves import registry_with
from tests.support.store_servers import opened, start_redis

pytestmark = pytest.mark.slow  # it starts the server of the store


def run(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.output


async def append(url: str, n: int) -> int:
    async with opened(url) as store:
        return (
            await store.append([Interaction("ann", f"i{each}", 1.0, 1e9, None, f"e{each}") for each in range(n)])
        ).accepted


@pytest.fixture
def state(tmp_path):
    registry_with(tmp_path / "state" / "models", "ready")
    return tmp_path / "state"


def test_back_up_and_restore_while_the_store_runs_and_while_it_does_not(state, tmp_path):
    server = EmbeddedValkey(state / "store")
    server.start()
    asyncio.run(append(server.url, 5))
    running = json.loads(run("backup", tmp_path / "backup", "--state-dir", state, "--json"))
    server.stop()
    stopped = json.loads(run("backup", tmp_path / "backup", "--state-dir", state, "--json", "--keep", 1))
    read = run("restore", tmp_path / "backup", "--verify")
    told = run("restore", tmp_path / "backup", "--state-dir", tmp_path / "new", "--verify")
    again = EmbeddedValkey(tmp_path / "new" / "store")
    again.start()
    accepted = asyncio.run(append(again.url, 6))
    again.stop()

    assert running["interactions_in_log"] == stopped["interactions_in_log"] == 5
    assert (stopped["written_bytes"], len(stopped["removed"])) == (0, 1)
    assert "all" in read
    assert "5 log entries" in told
    assert "read back and compared: 1 versions" in told
    assert [each.version for each in Registry(tmp_path / "new" / "models").versions()] == ["00000001"]
    assert accepted == 1, "what was sent before the back-up counts once"


def test_a_store_behind_a_url_and_one_that_is_embedded_take_each_others_back_up(state, tmp_path, tmp_path_factory):
    embedded = EmbeddedValkey(state / "store")
    embedded.start()
    asyncio.run(append(embedded.url, 5))
    run("backup", tmp_path / "backup", "--state-dir", state)
    embedded.stop()
    server = start_redis(tmp_path_factory.mktemp("redis"))
    try:
        run("restore", tmp_path / "backup", "--state-dir", tmp_path / "new", "--redis-url", server.tcp_url, "--verify")
        accepted = asyncio.run(append(server.tcp_url, 6))
    finally:
        server.end()

    assert accepted == 1


def test_what_cannot_be_is_said_in_a_line(state, tmp_path):
    assert "there is no folder" in run("backup", tmp_path / "backup", "--state-dir", tmp_path / "none", status=1)
    assert "there is no back-up" in run("restore", tmp_path / "none", "--state-dir", tmp_path / "new", status=1)
    assert "2026-11-26T17:05:00Z" in run(
        "restore", tmp_path, "--state-dir", tmp_path / "new", "--until", "noon", status=2
    )
    assert "--state-dir" in run("restore", tmp_path, status=2)
    run("backup", tmp_path / "backup", "--state-dir", state)
    assert "is not empty" in run("restore", tmp_path / "backup", "--state-dir", state, status=1)
