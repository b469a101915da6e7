"""Histories of the library over a real Valkey: whatever breaks between and inside its steps, its promises hold.

A seed that fails runs again by itself: ``python -m tests.support.histories.library_run SEED`` tells the whole history.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.errors import StoreError
from recommender.stores import EmbeddedValkey
from tests.support.histories.library_run import run_seed
from tests.support.store_servers import flush

pytestmark = pytest.mark.reliability

SEEDS = 10 * int(os.environ.get("RECOMMENDER_RELIABILITY", "1"))
STEPS = 40
BREAKING = ("lose_store", "copy_store", "set_clock", "kill_trainer", "fill_disk", "train_twice", "roll_back")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="rs"))
    server = EmbeddedValkey(folder)
    try:
        server.start()
    except StoreError as error:
        pytest.skip(f"no embedded Valkey here: {error}")
    yield server.url
    server.stop()
    shutil.rmtree(folder)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_promises_hold_whatever_breaks(seed, url, tmp_path):
    flush(url)
    run, verdict = run_seed(seed, url, tmp_path, STEPS, BREAKING)
    print(f"{len(run.history.records)} records; the fault model excuses {len(verdict.excused)} findings")

    assert verdict.violations == [], (
        f"python -m tests.support.histories.library_run {seed} {STEPS} {','.join(BREAKING)}"
    )
