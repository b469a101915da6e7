"""A service that asks for signatures learns on from what may serve, and signs what it learns."""

from pathlib import Path

import pytest

from recommender.errors import UntrustedVersionError
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry
from recommender.storage.registry.manifest import NAME
from recommender.storage.registry.trust import Trust
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction
from recommender.training.erasure import Deleted, VersionPlace, erase
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline
from tests.support.asynchronous import asynchronous
from tests.support.signed import OURS, edit, unsigned

pytestmark = pytest.mark.slow

STRICT = {"key": OURS.private, "accepted": [OURS.public]}


class House:
    """A state folder and a store, and what is opened anew over them, as after a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self._clicks = folder, MemoryStore(), 0

    def registry(self, **trust) -> Registry:
        return Registry(self.folder / "models", Trust.of(**trust or STRICT))

    def learner(self, **trust) -> TrainingPipeline:
        settings = ModelSettings(no_components=4, epochs=1)
        archive = Archive(self.folder / "archive")
        return TrainingPipeline(self.registry(**trust), archive, self.store, settings, holdout=0.0)

    async def click(self, n: int = 12) -> None:
        numbers = range(self._clicks, self._clicks + n)
        self._clicks += n
        await self.store.append([Interaction(f"u{each % 4}", f"i{each % 5}", 1.0, 1e9 + each) for each in numbers])


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


@asynchronous
async def test_what_is_learned_is_signed_and_the_next_training_goes_on_from_it(house):
    await house.click()
    await house.learner().learn("full")
    await house.click()
    learned = await house.learner().learn("incremental")

    newest, before = house.registry().versions()
    assert (newest.version, newest.parent, newest.refused) == (learned.version, before.version, None)
    assert newest.meta.trained_on["interactions"] == 24


@asynchronous
async def test_a_version_that_somebody_else_put_there_is_not_gone_on_from(house):
    await house.click()
    first = await house.learner().learn("full")
    await house.click()
    await house.learner(key="", accepted=[]).learn("incremental")
    learned = await house.learner().learn("incremental")

    newest, theirs, ours = house.registry().versions()
    assert (theirs.refused, ours.version) == ("it is not signed", first.version)
    assert (newest.version, newest.parent) == (learned.version, first.version)
    assert newest.meta.trained_on["interactions"] == 24, "nothing that it had learned is lost or doubled"


@asynchronous
async def test_a_state_of_unsigned_versions_is_not_learned_anew_but_said_to_be_unsigned(house):
    await house.click()
    await house.learner(key="", accepted=[]).learn("full")
    learner = house.learner()

    assert learner.newest() is None
    assert house.registry().advance().version is None
    with pytest.raises(UntrustedVersionError, match=r"00000001 is refused: it is not signed; .* recommender signing"):
        await learner.learn("full")
    assert [each.version for each in house.registry().versions()] == ["00000001"]


@asynchronous
async def test_a_user_is_forgotten_in_signed_versions_and_in_those_that_are_refused(house):
    await house.click()
    await house.learner().learn("full")
    await house.click()
    learned = await house.learner().learn("incremental")
    edit(house.folder / "models" / learned.version, unsigned)
    place = VersionPlace(house.registry(), Archive(house.folder / "archive"))
    (looked,) = await erase(Deleted("u1", 1_000), [place])

    assert (looked.erased, looked.left) == (2, 0)
    assert [each.refused for each in house.registry().versions()] == ["it is not signed", None]
    assert b"signature" not in (house.folder / "models" / learned.version / NAME).read_bytes()
