"""What the ModelStore serves and says where signatures are asked for; no Ray is started."""

import asyncio
import time

import pytest

from deployments import model_store
from deployments.args import AppArgs
from deployments.model_store import ModelStoreActor, RegistryPlace
from recommender.errors import InvalidDataError, UntrustedVersionError
from recommender.storage.registry import Registry
from tests.support.shelves import artifact
from tests.support.signed import OURS, THEIRS, signed_registry

OLDER, NEWEST = "00000001", "00000002"


def actor(place: RegistryPlace) -> ModelStoreActor:
    made = ModelStoreActor.__new__(ModelStoreActor)
    made._registry, made._asked_at = place.open(), time.monotonic()
    made._published, made._info, made._serial, made._beside = None, None, 0, {}
    made._changed, made._lock, made._beside_lock = asyncio.Condition(), asyncio.Lock(), asyncio.Lock()
    return made


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(model_store.ray, "put", lambda content: content)  # there is no object store here
    signed_registry(tmp_path, OURS)
    return RegistryPlace(str(tmp_path), (OURS.public,))


def test_a_version_that_is_refused_is_not_served_and_listed_with_the_reason(place):
    async def run():
        models = actor(place)
        before = await models.refresh()
        Registry(place.location).publish(artifact(2), parent=OLDER, status="ready")
        after = await models.refresh()
        with pytest.raises(UntrustedVersionError, match=f"version {NEWEST} is refused: it is not signed"):
            await models.activate(NEWEST)
        with pytest.raises(UntrustedVersionError, match=f"version {NEWEST} is refused"):
            await models.named(NEWEST)
        return before, after, await models.versions(), await models.active()

    before, after, listed, active = asyncio.run(run())

    assert before == after == active["version"] == OLDER
    assert [(each["version"], each["status"], each["refused"]) for each in listed] == [
        (NEWEST, "ready", "it is not signed"),
        (OLDER, "active", None),
    ]


def test_a_service_that_starts_over_a_newer_version_of_somebody_else_serves_the_one_before(place):
    registry = Registry(place.location)
    registry.publish(artifact(2), parent=OLDER, status="ready")
    registry.activate(NEWEST, pinned=False)

    assert asyncio.run(actor(place).refresh()) == OLDER


def test_keys_come_from_files_texts_and_the_environment(tmp_path, monkeypatch):
    (tmp_path / "key").write_text(OURS.private)
    (tmp_path / "ours.pub").write_text(OURS.public)
    given = AppArgs(require_signed=(THEIRS.public,))
    monkeypatch.setenv("RECOMMENDER_SIGNING_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("RECOMMENDER_REQUIRE_SIGNED", str(tmp_path / "ours.pub"))
    args = given.with_environment()

    assert args.signing_key() == OURS.private.strip()
    assert args.require_signed == (str(tmp_path / "ours.pub"),)
    assert RegistryPlace(str(tmp_path), given.require_signed).open().trust.accepted[0].fingerprint == THEIRS.fingerprint
    with pytest.raises(InvalidDataError, match="no public key"):
        RegistryPlace(str(tmp_path), (OURS.private,)).open()
