"""With `training.forget`, users and items that come and go for months leave nothing behind that grows."""

from __future__ import annotations

import pytest

from benchmarks.learning.turnover import SHARE, Turnover
from recommender.storage.archive import backends
from recommender.training.forgetting import DAY_S, ForgetSettings

pytestmark = pytest.mark.anyio
WEEKS = 12
N_USERS, N_ITEMS, EACH = 60, 40, 9
FORGET = ForgetSettings(users_idle_days=14, items_gone_days=14, interactions_older_than_days=35)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_months_of_turnover_end_within_the_bounds_that_the_settings_make(tmp_path, monkeypatch):
    monkeypatch.setattr(backends, "YOUNG_S", 0.0)
    world = Turnover(tmp_path, N_USERS, N_ITEMS, EACH, FORGET)
    for _ in range(WEEKS):
        await world.pass_week()
    sizes = {**world.sizes(), **await world.stored()}
    archived = world.archive.read(list(world.registry.versions()[0].meta.segments))
    most_users, most_items = N_USERS * (1 + SHARE * 3), N_ITEMS * (1 + SHARE * 3)

    assert 1.2 * most_users < N_USERS * (1 + SHARE * (WEEKS - 1))  # so many there were
    assert sizes["model_users"] <= most_users
    assert sizes["stored_users"] <= most_users + N_USERS * SHARE
    assert sizes["model_items"] <= most_items
    assert sizes["stored_items"] <= most_items
    assert sizes["deletion_notes"] <= N_ITEMS * SHARE * 4
    assert sizes["interactions"] <= N_USERS * EACH * 6
    assert archived["timestamp"].min() >= world.now - 7 * DAY_S - FORGET.interactions_older_than_days * DAY_S
    assert sizes["log_entries"] <= N_USERS * EACH * 2
