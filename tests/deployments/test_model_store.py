"""What the ModelStore says of what serves; no Ray is started."""

import asyncio
import time

import pytest

from deployments.model_store import ModelStoreActor, Published
from tests.support.shelves import registry_with


@pytest.mark.parametrize("was_listed", [True, False])
def test_a_version_that_was_set_aside_since_it_was_loaded_serves_on_and_is_told(tmp_path, was_listed):
    registry = registry_with(tmp_path, "ready", "ready")
    state = ModelStoreActor.__new__(ModelStoreActor)
    state._registry, state._asked_at = registry, time.monotonic()
    state._published = Published("00000002", [None])
    state._info = registry.versions()[0] if was_listed else None
    registry.quarantine("00000002", "a test")
    active = asyncio.run(state.active())

    if was_listed:
        assert active is not None
        assert (active["version"], active["log_offset"], active["pinned"]) == ("00000002", 2, False)
    else:
        assert active is None
