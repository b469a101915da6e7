"""Compiling: replicas start together on an empty cache, and nobody's request waits for the compiler."""

import os
import subprocess
import sys

import pytest

WARM = "from recommender.vector_search.exact import warm_up; warm_up(8)"


def started(cache: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WARM],
        env={**os.environ, "NUMBA_CACHE_DIR": cache},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_processes_that_compile_at_once_do_not_disturb_each_other(tmp_path):
    together = [started(str(tmp_path)) for _ in range(2)]
    errors = [process.communicate()[1] for process in together]

    assert [(process.returncode, error) for process, error in zip(together, errors, strict=True)] == [(0, "")] * 2
    assert list(tmp_path.rglob("*.nbc"))
    after = started(str(tmp_path))
    assert (after.communicate()[1], after.returncode) == ("", 0)
