"""Stores by URL: what is opened, and what is refused with what to do."""

import re

import pytest

from recommender.errors import InvalidDataError
from recommender.stores import open_store


@pytest.mark.parametrize("scheme", ["redis+cluster", "redis+sentinel", "rediss+sentinel"])
def test_what_cannot_be_opened_says_why_and_what_to_name_instead(scheme):
    with pytest.raises(
        InvalidDataError, match=rf"{re.escape(scheme)}://.* is not supported.*Name the primary"
    ) as refused:
        open_store(f"{scheme}://user:secret@host:26379/primary")

    assert "secret" not in str(refused.value)
