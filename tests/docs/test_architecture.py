"""Files and targets that the pages name are there."""

import re

import pytest

from tests.support.pages import PAGES, ROOT

MARKDOWN = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md"))]
NAMED = re.compile(r"`((?:recommender|deployments|lightfm_serve|tests|benchmarks|deploy|docs|examples)/[\w/.-]+)`")
TARGET = re.compile(r"(?:`|^)make (?!PYTHON|-s)([a-z][a-z-]*)", re.MULTILINE)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_files_that_a_page_names_are_there(page):
    named = set(NAMED.findall(page.read_text()))

    assert sorted(path for path in named if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_targets_that_a_page_names_are_in_the_makefile(page):
    assert set(TARGET.findall(page.read_text())) - TARGETS == set()


def test_the_architecture_page_names_many_files():
    assert len(set(NAMED.findall((ROOT / "docs" / "architecture.md").read_text()))) > 30


OUTSIDE_THE_SITE = [page for page in MARKDOWN if page not in PAGES]
"""`make docs` looks at the links of the others."""


@pytest.mark.parametrize("page", OUTSIDE_THE_SITE, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_outside_the_site_lead_somewhere(page):
    linked = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[\w-]+)?\)", page.read_text())

    assert sorted(link for link in linked if not (page.parent / link).exists()) == []
