"""What clients of the real service saw while it was broken by a seed is checked against what it promises."""

import asyncio
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.errors import StoreError
from recommender.stores import EmbeddedValkey
from tests.support.histories.clients import N_GROUPS, N_ITEMS, N_USERS, Client, group_of
from tests.support.histories.history_checker import Promises, check
from tests.support.histories.http_service import PARTS, HttpService
from tests.support.histories.recorded import History
from tests.support.rows import FACTOR, Row
from tests.support.running_service import RunningService

pytestmark = pytest.mark.reliability

SEED = int(os.environ.get("RECOMMENDER_SEED", "1"))
N_CLIENTS = 3
FULL_EVERY_S = 20.0
SETTLES_WITHIN_S = 10.0
"""Until every replica has a new version, whatever of it was killed."""
OFTEN = {
    "incremental_every_s": 1,
    "full_every_s": FULL_EVERY_S,
    "min_interactions": 1,
    "keep_versions": 3,
    "margin": 10,
    "event_weights": {"hide": -1.0, "seen": 0.0},
}
WORLD = f"synthetic?n_users={N_USERS}&n_items={N_ITEMS}&n_groups={N_GROUPS}"


@pytest.fixture
def store() -> Iterator[tuple[EmbeddedValkey, Path]]:
    folder = Path(tempfile.mkdtemp(prefix="rs"))
    server = EmbeddedValkey(folder)
    try:
        server.start()
    except StoreError as error:
        pytest.skip(f"no embedded Valkey here: {error}")
    yield server, folder
    server.stop()
    shutil.rmtree(folder)


async def break_things(service: HttpService, chance: random.Random, rounds: int) -> None:
    """Every kind of fault once a round, in an order that the seed decides."""
    for _ in range(rounds):
        faults = [service.kill_store, service.stop_store, service.empty_store, service.lose_archive]
        faults += [lambda part=part: service.kill(part) for part in PARTS]
        for fault in chance.sample(faults, len(faults)):
            await fault()
            await asyncio.sleep(chance.uniform(0.5, 1.5))


async def act(client: Client, broken: asyncio.Event) -> None:
    while not broken.is_set():
        await client.step()
        await asyncio.sleep(0.05)


async def record(service: HttpService, history: History, chance: random.Random) -> None:
    clients = [
        Client(service, history, random.Random(chance.random()), service.now, name, N_CLIENTS)
        for name in range(N_CLIENTS)
    ]
    broken = asyncio.Event()
    async with service.watched():
        acting = [asyncio.create_task(act(client, broken)) for client in clients]
        await break_things(service, chance, FACTOR)
        broken.set()
        await asyncio.gather(*acting)
        for client in clients:
            await client.send_all_again()
        await service.settle()
        for client in clients:
            await client.look_at_all()
    await service.close()


def test_promises_hold_over_http_whatever_breaks(tmp_path, store):
    server, folder = store
    history, chance = History(), random.Random(SEED)
    with RunningService(tmp_path, dataset=WORLD, redis_url=server.url, training=OFTEN).serving() as running:
        service = HttpService(running, server, folder, history, chance)
        asyncio.run(record(service, history, chance))
    verdict = check(history, Promises(group_of, FULL_EVERY_S - 1, SETTLES_WITHIN_S))
    told = tmp_path / "history.txt"
    told.write_text(history.told())
    violations = verdict.violations
    lost = [found for found in violations if found.promise in ("nothing is lost", "learned once")]
    note = f"seed {SEED}; {len(violations)} violations, {len(verdict.excused)} losses with the store excused"
    Row(
        "everything, by a seed",
        "SIGKILL, FLUSHALL, …",
        len(history.records),
        len(service.failures),
        len(lost),
        None,
        note,
    ).write()

    assert service.failures == []
    assert violations == [], f"RECOMMENDER_SEED={SEED}; the history is in {told}"
