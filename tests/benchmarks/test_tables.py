"""The figures in README and benchmarks/README.md are those of the JSON."""

import importlib.util

import pytest

from benchmarks.catalogue import BENCHMARKS
from benchmarks.harness.tables import PAGES, RESULTS, filled


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.name}")
def test_a_page_has_the_figures_of_the_json(page):
    written = page.read_text()

    assert filled(written) == written


def test_every_benchmark_is_a_module_and_every_result_belongs_to_one():
    assert all(importlib.util.find_spec(each.name) for each in BENCHMARKS)
    assert {path.stem for path in RESULTS.glob("*.json")} <= {each.result for each in BENCHMARKS}
