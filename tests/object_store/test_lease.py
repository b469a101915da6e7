"""One trainer at a time learns into a bucket, and one that has died does not keep the others out."""

import asyncio
import contextlib
import time

import pytest

from recommender.errors import StaleTrainingError, TrainingError
from recommender.storage.lease import BucketLease, lease_on
from recommender.storage.object_store import Bucket
from recommender.storage.registry import Registry


@pytest.fixture
def bucket(url):
    return Bucket(url)


def test_one_of_two_holds_it_and_the_other_when_it_is_let_go(bucket):
    ours, theirs = BucketLease(bucket), BucketLease(bucket)

    assert [ours.acquire(), theirs.acquire(), ours.acquire(), theirs.acquire()] == [True, False, True, False]
    theirs.release()
    assert not theirs.acquire()
    ours.release()
    assert [theirs.acquire(), ours.acquire()] == [True, False]
    assert len(bucket.sizes()) <= 3


def test_it_lapses_when_it_is_not_renewed_and_not_before(bucket, monkeypatch):
    ours, theirs = BucketLease(bucket, 30.0), BucketLease(bucket, 30.0)
    now = time.monotonic()
    taken = []
    for ours_renews, after_s in [(True, 0), (False, 29), (True, 31), (False, 60), (False, 62)]:
        monkeypatch.setattr(time, "monotonic", lambda after_s=after_s: now + after_s)
        if ours_renews:
            assert ours.acquire()
        taken.append(theirs.acquire())

    assert taken == [False, False, False, False, True]
    assert not ours.acquire()


def test_whoever_tries_at_the_same_time_one_has_it(bucket):
    leases = [BucketLease(bucket) for _ in range(4)]

    async def tried() -> list[bool]:
        return await asyncio.gather(*(asyncio.to_thread(each.acquire) for each in leases))

    assert sum(asyncio.run(tried())) == 1


@pytest.mark.parametrize("place", ["bucket", "folder"])
def test_a_trainer_without_it_does_not_train_and_one_that_holds_it_renews_it(url, tmp_path, place):
    state_dir = url if place == "bucket" else str(tmp_path)
    ours, theirs = (
        BucketLease(Bucket(url) / "lease", 3.0) if place == "bucket" else lease_on(state_dir) for _ in range(2)
    )

    async def hold() -> None:
        async with ours.held():
            for _ in range(5):
                with pytest.raises(TrainingError, match="another trainer"):
                    async with theirs.held():
                        pass
                await asyncio.sleep(1.0)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(theirs.held())

    asyncio.run(hold())


def test_a_stale_trainer_publishes_nothing_into_a_bucket(url):
    from tests.support.shelves import artifact, registry_with

    ours = registry_with(url, "ready")
    began, theirs = ours.highest(), Registry(url)
    theirs.publish(artifact(2), parent="00000001", status="ready", after=theirs.highest())

    with pytest.raises(StaleTrainingError, match="another trainer has published"):
        ours.publish(artifact(3), parent="00000001", status="ready", after=began)
    assert [each.version for each in Registry(url).versions()] == ["00000002", "00000001"]
    assert ours.publish(artifact(3), parent="00000002", status="ready", after=ours.highest()) == "00000003"


def test_an_object_that_was_made_and_asked_for_again_is_made(bucket):
    assert bucket.create("one", b"ours")
    assert bucket.create("one", b"ours")
    assert not bucket.create("one", b"theirs")
