"""Promises of the documentation, each backed by tests that exist."""

import ast
import re

import pytest

from tests.support.pages import DOCS, ROOT

PAGES = ("consistency.md", "upgrading.md")
TESTS = {
    node.name
    for path in (ROOT / "tests").rglob("test_*.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
}
ROWS = [
    (page, line)
    for page in PAGES
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| promise", "| a release", "| what |"))
]


@pytest.mark.parametrize(("page", "row"), ROWS)
def test_every_promise_names_tests_that_exist(page, row):
    named = re.findall(r"`(test_\w+)`", row)

    assert named, f"{page} promises what no test holds"
    assert [name for name in named if name not in TESTS] == []
