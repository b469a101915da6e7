"""A service for the pages, which ask one that has MovieLens."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.support.running_service import RunningService


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("pages")).serving() as running:
        yield running


@pytest.fixture(autouse=True, scope="session")
def _curl() -> None:
    assert shutil.which("curl"), f"the pages call curl, which is not on PATH: {os.environ['PATH']}"
