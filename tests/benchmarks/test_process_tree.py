"""A server is asked when no other still works on what nobody waits for."""

import subprocess
import sys

import pytest

from benchmarks.harness import process_tree

BUSY = "import sys; print(flush=True)\nwhile True: pass"


@pytest.fixture
def busy():
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.usefixtures("busy")
def test_a_process_that_works_is_waited_for():
    with pytest.raises(RuntimeError, match="still busy after 1 s"):
        process_tree.wait_until_idle(most_cores=0.02, within_s=1, every_s=0.2)


def test_one_that_has_ended_is_not(busy):
    busy.kill()
    busy.wait(30)

    process_tree.wait_until_idle(most_cores=0.02, within_s=30, every_s=0.2)
