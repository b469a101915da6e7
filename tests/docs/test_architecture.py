"""What docs/architecture.md names is there."""

import re

import pytest

from tests.support.running_service import ROOT

TABLE = (ROOT / "docs" / "architecture.md").read_text().partition("## Where is it?")[2]
PATHS = sorted(set(re.findall(r"`((?:recommender|deployments|lightfm_serve)/[\w/.]+)`", TABLE)))


@pytest.mark.parametrize("path", PATHS)
def test_a_file_that_the_page_names_is_there(path):
    assert (ROOT / path).exists()
