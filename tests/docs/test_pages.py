"""Every command and code block of the documentation does what its page says."""

import copy
import re
import shlex

import click
import pytest
import yaml

from lightfm_serve.cli import main
from tests.support.pages import ADDRESS, DOCS, PAGES, ROOT, Block, Desk, blocks_of
from tests.support.running_service import RunningService

BLOCKS = {page: blocks_of(page) for page in PAGES}
OWN_DATA = DOCS / "own-data.md"
README = ROOT / "README.md"
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
NOT_RUN_OF_THE_README = {"make serve": "starts the service"}
"""The README says it to people in words."""
STARTS_THE_SERVICE = re.compile(r"^((?:\w+=\S+ )*)make serve$", re.MULTILINE)
MOST_NOT_RUN = 27


def titles(pages):
    return [str(page.relative_to(ROOT)) for page in pages]


def asks_a_service(page) -> bool:
    return any(ADDRESS in block.text or "status" in block.text for block in BLOCKS[page])


def commands_of(block: Block) -> list[str]:
    """Calls of our command line, a line each."""
    text = block.text.replace("\\\n", " ")
    return re.findall(r"^(?:\$ )?\.venv/bin/recommender (.+?)(?: \|\|.*)?$", text, re.MULTILINE)


EVERY_COMMAND = [command for page in [*PAGES, README] for block in blocks_of(page) for command in commands_of(block)]


def test_own_data_is_served_by_following_one_page(tmp_path):
    desk, running = Desk(tmp_path), None
    try:
        for block in BLOCKS[OWN_DATA]:
            started = STARTS_THE_SERVICE.search(block.text)
            if started:
                given = dict(word.split("=") for word in started[1].split())
                # a reader stands in the folder of the repository, the test's service does not
                running = RunningService(tmp_path).start(
                    **{name: str(tmp_path / value) for name, value in given.items()}
                )
                running.wait_until_ready()
                desk.url = running.url
            elif not block.not_run:
                desk.run(block)
    finally:
        if running is not None:
            running.stop()

    assert running is not None


@pytest.mark.parametrize("page", [p for p in PAGES if not asks_a_service(p)], ids=lambda page: page.stem)
def test_pages_that_need_no_service(page, tmp_path):
    follow(BLOCKS[page], Desk(tmp_path))


@pytest.mark.parametrize("page", [p for p in PAGES if asks_a_service(p) and p != OWN_DATA], ids=lambda page: page.stem)
def test_pages_that_ask_a_service(page, tmp_path, service):
    follow(BLOCKS[page], Desk(tmp_path, service.url, service.folder / "state"))


def test_the_readme(tmp_path, service):
    blocks = [block for block in blocks_of(README) if block.language]
    run = [block for block in blocks if not any(words in block.text for words in NOT_RUN_OF_THE_README)]

    assert len(blocks) - len(run) == len(NOT_RUN_OF_THE_README)
    follow(run, Desk(tmp_path, service.url, service.folder / "state"))


def test_the_readme_stays_short():
    text = README.read_text()

    assert len(text.splitlines()) <= 120
    assert len(text.split()) <= 800


def follow(blocks: list[Block], desk: Desk) -> None:
    for block in blocks:
        if not block.not_run:
            desk.run(block)


def test_few_blocks_are_not_run_and_each_says_why():
    reasons = [block.not_run for blocks in BLOCKS.values() for block in blocks if block.not_run]

    assert len(reasons) <= MOST_NOT_RUN
    assert [reason for reason in reasons if len(reason.split()) < 3] == []


@pytest.mark.parametrize("command", sorted(set(EVERY_COMMAND)))
def test_the_command_line_understands_every_command(command):
    words = shlex.split(command, comments=True)
    with click.Context(main) as context:
        found = main
        while isinstance(found, click.Group):
            found = found.get_command(context, words.pop(0))
        found = copy.deepcopy(found)
        for parameter in found.params:
            if isinstance(parameter.type, click.Path):
                parameter.type = click.STRING  # whether a file is there is known where the command is run

        found.make_context("recommender", words)


def test_the_menu_has_every_page():
    menu = SITE["nav"]

    assert sorted(leaves(menu)) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


def test_the_site_fetches_nothing_from_elsewhere():
    shown = re.compile(r"!\[|<(?:img|script|link|iframe)|mermaid")

    assert SITE["theme"]["font"] is False
    assert SITE["strict"] is True
    assert not {"extra_javascript", "extra_css", "hooks"} & SITE.keys()
    assert [str(page) for page in PAGES if shown.search(page.read_text())] == []


def leaves(menu):
    if isinstance(menu, str):
        return [menu]
    members = menu.values() if isinstance(menu, dict) else menu
    return [leaf for each in members for leaf in leaves(each)]
