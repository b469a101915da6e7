"""The reference pages say what the code says: keys, options, environment variables, messages."""

import re
import runpy

import click
import pytest

from lightfm_serve.cli import main
from tests.support.pages import DOCS, ROOT

REFERENCE = runpy.run_path(str(DOCS / "reference.py"))
PACKAGES = ("recommender", "deployments", "lightfm_serve")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
CODE = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
VARIABLES = sorted(set(re.findall(r"[\"'](RECOMMENDER_[A-Z_]+)[\"']", CODE)))
TROUBLESHOOTING = (DOCS / "troubleshooting.md").read_text()
MESSAGES = re.findall(r"^\| `([^`]+)`(?:, `([^`]+)`)?", TROUBLESHOOTING, re.MULTILINE)


@pytest.mark.parametrize("page", REFERENCE["PAGES"], ids=lambda page: page.stem)
def test_generated_parts_are_current_else_run_make_reference(page):
    written = page.read_text()

    assert REFERENCE["filled"](written) == written


def test_every_section_of_args_is_on_the_page():
    written = (DOCS / "configuration.md").read_text()

    for section in ("", *(name for name, field in REFERENCE["args"].AppArgs.model_fields.items() if is_section(field))):
        assert f"<!-- generated: args {section}".rstrip() in written


def is_section(field):
    return REFERENCE["_is_section"](field)


def test_every_key_has_a_meaning():
    parts = re.findall(r"<!-- generated: (args[ \w]*) -->", (DOCS / "configuration.md").read_text())
    lines = [line for name in parts for line in REFERENCE["part"](name).splitlines()]

    assert [line for line in lines if line.endswith("|  |")] == []


def test_every_command_has_a_section():
    headings = re.findall(r"^## (.+)$", (DOCS / "cli.md").read_text(), re.MULTILINE)

    assert sorted(headings) == sorted(commands(main))


def commands(group, before=()):
    with click.Context(group) as context:
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            if isinstance(found, click.Group):
                yield from commands(found, (*before, name))
            else:
                yield " ".join((*before, name))


@pytest.mark.parametrize("name", VARIABLES)
def test_every_environment_variable_is_on_the_page(name):
    assert f"`{name}`" in (DOCS / "configuration.md").read_text()


@pytest.mark.parametrize("message", sorted({each for pair in MESSAGES for each in pair if each and " " in each}))
def test_a_message_of_the_troubleshooting_page_is_one_of_ours(message):
    ours = CODE + (ROOT / "Makefile").read_text()

    assert message in ours or message in re.sub(r"\"\s*f?\"|\{.*?\}", "", ours) or is_json(message)


def is_json(message):
    return ": " in message and message.split(":")[0].strip() in ("degraded", "strategy")
