"""What the status says of a log that cannot be read."""

from datetime import UTC, datetime

import pytest

from recommender.storage.registry import VersionInfo, VersionMeta
from recommender.training.unreadable_entries import health, unreadable_share


def version(number: int, log_offset: int, poison: int) -> VersionInfo:
    meta = VersionMeta(log_offset=log_offset, poison=poison)
    parent = str(number - 1) if number > 1 else None
    return VersionInfo(str(number), parent, datetime.now(UTC), "ready", None, 0, meta)


@pytest.mark.parametrize(("poison", "share", "is_well"), [(0, 0, True), (1, 0.01, True), (50, 0.5, False)])
def test_more_than_a_few_broken_entries_are_a_fault(poison, share, is_well):
    versions = [version(2, 200, poison), version(1, 100, 100)]

    assert unreadable_share(versions) == pytest.approx(share)
    assert (health(versions) == "ok") is is_well
    assert ("50%" in health(versions)) is not is_well


def test_without_a_version_or_anything_read_nothing_is_wrong():
    assert health([]) == "ok"
    assert health([version(2, 100, 0), version(1, 100, 0)]) == "ok"
