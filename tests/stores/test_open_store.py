"""Stores by URL: what is opened, and what is refused with what to do."""

import re

import pytest

from recommender.errors import InvalidDataError
from recommender.stores import open_store
from recommender.stores.sentinel import parse_sentinel


@pytest.mark.parametrize("scheme", ["redis+cluster", "rediss+cluster"])
def test_a_cluster_is_refused_with_why_and_what_to_name_instead(scheme):
    with pytest.raises(
        InvalidDataError, match=rf"{re.escape(scheme)}://.* is not supported.*Name the primary"
    ) as refused:
        open_store(f"{scheme}://user:secret@host:26379/primary")

    assert "secret" not in str(refused.value)


def test_an_address_of_sentinels_is_read_and_shown_without_its_secrets():
    address = parse_sentinel("rediss+sentinel://me:s%40cret@a:1,b/primary/3?sentinel_password=other")
    store = open_store("rediss+sentinel://me:s%40cret@a:1,b/primary/3?sentinel_password=other")

    assert address == ([("a", 1), ("b", 26_379)], "primary", 3, "me", "s@cret", "other", True)
    assert repr(store) == "<RedisStore: <Connection: rediss+sentinel://a:1,b:26379/primary>>"


@pytest.mark.parametrize(
    "url", ["redis+sentinel://host:26379", "redis+sentinel:///primary", "redis+sentinel://h:x/primary"]
)
def test_sentinels_without_host_or_service_are_refused(url):
    with pytest.raises(InvalidDataError, match="malformed"):
        open_store(url)
