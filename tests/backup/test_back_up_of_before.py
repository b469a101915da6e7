"""A back-up that release 5ab871d wrote, with something of everything, is read and gone on from; see tests/fixtures."""

import asyncio
import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from recommender.backup.restoration import restore
from recommender.backup.verification import verify_restored
from recommender.exposures import ExposureKeeper
from recommender.schema import Query
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.storage.archive.archive import Archive
from recommender.storage.audit_trail import AuditTrail
from recommender.storage.file_store import open_files
from recommender.storage.registry import Registry
from recommender.stores import EmbeddedValkey
from recommender.stores.audit_log import open_audit_log
from recommender.training.full import ModelSettings
from recommender.training.history_tuning import HistorySettings
from recommender.training.pipeline import TrainingPipeline
from tests.support.asynchronous import asynchronous
from tests.support.store_servers import opened

pytestmark = pytest.mark.slow  # it starts the server of the store

WRITTEN = Path(__file__).parents[1] / "fixtures" / "backup_5ab871d"
EXPECTED = json.loads((WRITTEN / "expected.json").read_text())
USERS = [f"u{each}" for each in range(8)]


@pytest.fixture(scope="module")
def restored(tmp_path_factory):
    """State folder and URL of its store, as the back-up says; each test leaves what the others look at."""
    folder = tmp_path_factory.mktemp("restored")
    source = open_files(shutil.copytree(WRITTEN, folder / "backup"))
    server = EmbeddedValkey(folder / "state" / "store")
    server.start()

    async def run():
        plan, _ = await restore(source, str(folder / "state"), server.url)
        await verify_restored(plan, source, str(folder / "state"), server.url)

    try:
        asyncio.run(run())
        yield folder / "state", server.url
    finally:
        server.stop()


@asynchronous
async def test_its_version_answers_as_it_did_then(restored):
    folder, url = restored
    version, artifact = Registry(folder / "models").load_current()
    snapshot = Snapshot.from_arrays(artifact.parts["snapshot"], {**artifact.meta.snapshot, "version": version})
    async with opened(url) as store:
        states = (await store.fetch(USERS)).users
    answers = Recommender(Catalogue(snapshot)).recommend_many([Query(user_id=each, k=5) for each in USERS], states)

    assert version == EXPECTED["version"]
    for answer, then in zip(answers, EXPECTED["answers"], strict=True):
        assert [item.item_id for item in answer.items] == [item_id for item_id, _ in then]
        np.testing.assert_allclose([item.score for item in answer.items], [score for _, score in then], rtol=1e-4)


@asynchronous
async def test_archive_log_and_settings_have_what_they_had(restored):
    folder, url = restored
    segments = Registry(folder / "models").versions()[0].meta.segments
    rows = Archive(folder / "archive").read(segments)[["offset", "user_id", "item_id", "weight"]]
    async with opened(url) as store:
        log = json.loads(msgspec.json.encode(await store.read(0, 100)))
        settings = [each.name for each in (await store.settings()).settings]

    assert [list(row) for row in rows.itertuples(index=False)] == EXPECTED["archived"]
    # an event may get more fields, which come last
    assert [[offset, event[: len(old)]] for (offset, event), (_, old) in zip(log, EXPECTED["log"], strict=True)] == (
        EXPECTED["log"]
    )
    assert settings == EXPECTED["settings"] == ["home"]


@asynchronous
async def test_what_was_shown_and_what_was_done_by_hand_is_there(restored):
    folder, url = restored
    keeper = ExposureKeeper(folder, keep_days=36_500)
    shown = keeper.page(None, 100).rows
    keeper.close()
    audit = open_audit_log(url)
    page = await AuditTrail(audit, open_files(folder / "audit")).page(None, 10)
    await audit.close()

    assert {exposure.recommendation_id for _, exposure in shown} == {f"r{each}" for each in range(6)}
    assert [entry.who for entry in page.audit] == ["bob", "ann"]


@asynchronous
async def test_training_goes_on_from_it(restored):
    folder, url = restored
    copied = shutil.copytree(folder / "models", folder.parent / "models")
    settings = ModelSettings(no_components=4, epochs=1, min_steps=0, history=HistorySettings(tune_s=0.0))
    async with opened(url) as store:
        archive = Archive(shutil.copytree(folder / "archive", folder.parent / "archive"))
        pipeline = TrainingPipeline(Registry(copied), archive, store, settings, holdout=0.0, margin=10)
        waiting = await pipeline.waiting()
        learned = await pipeline.learn("incremental")

    assert waiting == 6
    newest, before = Registry(copied).versions()[:2]
    assert (learned.accepted, newest.version, newest.parent) == (True, "00000003", EXPECTED["version"])
    assert newest.meta.trained_on["interactions"] == before.meta.trained_on["interactions"] + 6
