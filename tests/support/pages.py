"""Pages of the documentation: their blocks, and how each is run.

A block is run by its language. One that cannot be run stands behind ``<!-- not run: REASON -->``.

``sh``
    By bash, which stops at the first command that fails; commands that write to a terminal show nothing here.
``console``
    Each line behind ``$ `` is run. What is shown under it is compared: JSON by names and kinds of values, other text
    with its numbers left out.
``python``
    All of a page in one namespace.
``yaml``
    What serve_config.yaml takes under ``args:`` or is as a whole.
``json``
    Read. ``csv`` and ``text`` are only shown.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml
from markdown_it import MarkdownIt
from ray.serve.schema import ServeDeploySchema

from deployments.args import AppArgs

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
ADDRESS = "127.0.0.1:8000"
"""Of the service, on every page."""
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*")
OF_A_RUNNING_SERVICE = (
    *("models", "status", "doctor", "import", "export", "forget"),
    *("attribution", "experiments", "placements"),
)
"""Commands that ask one, at the address of every page."""
EXACT = ("case", "strategy", "status", "mode", "accepted", "duplicates", "reason", "user_id")
"""Values that do not depend on the machine."""
PROBLEM = {"type", "title", "status", "detail"}
"""What every error of the service has."""
LINKED = ("Makefile", "serve_config.yaml", "benchmarks", "deploy", "docs", "examples", "deployments", "recommender")
"""What a reader has in the folder of the repository."""


class Block(NamedTuple):
    """A fenced block."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None
    """Why it is not run."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Blocks of a page, in their order."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    hidden = [str(token.map) for token in tokens if token.type == "code_block"]
    assert not hidden, f"{page}: an indented block is never run, use a fenced one (lines {', '.join(hidden)})"
    found, reason = [], None
    for token in tokens:
        if token.type == "fence":
            assert token.map is not None
            found.append(Block(page, token.map[0] + 1, token.info.strip(), token.content, reason))
        said = NOT_RUN.fullmatch(token.content) if token.type == "html_block" else None
        reason = said[1] if said else None
    return found


class Desk:
    """Where a reader sits: a folder that looks like a clone, and a service if there is one.

    Parameters
    ----------
    folder
        Empty.
    url
        Of the service; None where a page has no use for it.
    state
        Folder of its state, which the reader has as ``.recommender``.
    """

    def __init__(self, folder: Path, url: str | None = None, state: Path | None = None) -> None:
        self.folder = folder
        self.url = url
        self._namespace: dict[str, Any] = {"__name__": "a_page"}
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
        if state is not None:
            (folder / ".recommender").symlink_to(state)

    def run(self, block: Block) -> None:
        """Run a block, or look at it; raises where it does not do what the page says."""
        way = getattr(self, f"_run_{block.language or 'nothing'}", None)
        assert way is not None, f"{block}: a block of {block.language!r} is never run"
        way(block)

    def sh(self, text: str) -> str:
        """Standard output of commands."""
        self._put_command(self.folder / ".venv" / "bin" / "recommender")
        if self.url is not None:
            if '"mode"' in text:
                self._wait_until_nothing_trains(self.url)
            text = text.replace(ADDRESS, self.url.removeprefix("http://"))
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{text}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def _run_sh(self, block: Block) -> None:
        for answer in documents(self.sh(block.text)):
            assert not (isinstance(answer, dict) and answer.keys() >= PROBLEM), f"{block}: {answer}"

    def _run_console(self, block: Block) -> None:
        for command, shown in sessions(block.text):
            compare(shown, self.sh(command), f"{block}: {command}")

    def _run_python(self, block: Block) -> None:
        text = block.text if self.url is None else block.text.replace(ADDRESS, self.url.removeprefix("http://"))
        code = compile("\n" * block.line + text, str(block.page), "exec")
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            exec(code, self._namespace)  # noqa: S102 (that is what a reader does with it)
        finally:
            os.chdir(before)

    def _run_yaml(self, block: Block) -> None:
        content = yaml.safe_load(block.text)
        if "applications" in content:
            ServeDeploySchema.model_validate(content)
            content = content["applications"][0].get("args", {})
        AppArgs(**content.get("args", content))

    def _run_json(self, block: Block) -> None:
        json.loads(block.text)

    def _run_csv(self, block: Block) -> None:
        widths = {line.count(",") for line in block.text.splitlines()}
        assert len(widths) == 1, f"{block}: lines have different numbers of cells"

    def _run_text(self, block: Block) -> None:
        assert block.text.strip()

    def _wait_until_nothing_trains(self, url: str) -> None:
        """A reader is slower than a page that is run."""
        deadline = time.monotonic() + 60
        while httpx.get(f"{url}/v1/status", timeout=10).json()["training"] != "idle":
            assert time.monotonic() < deadline, "a training does not end"
            time.sleep(0.1)

    def _put_command(self, path: Path) -> None:
        """The command line as a reader has it; it asks the service of the test instead of the one on port 8000."""
        asks = "|".join(OF_A_RUNNING_SERVICE)
        url = f"--url {self.url}" if self.url else ""
        path.write_text(
            f'#!/bin/sh\ncase "$1" in\n{asks}) exec {BIN}/recommender "$@" {url};;\n'
            f'*) exec {BIN}/recommender "$@";;\nesac\n'
        )
        path.chmod(0o755)


def sessions(text: str) -> list[tuple[str, str]]:
    """Commands of a console block and what is shown under each."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [(command, "\n".join(shown)) for command, shown in found]


def documents(text: str) -> list[Any]:
    """JSON documents one after the other, as several calls of curl write them; none where the text is none."""
    decoder, place, found = json.JSONDecoder(), 0, []
    text = text.strip()
    while place < len(text):
        try:
            document, end = decoder.raw_decode(text, place)
        except ValueError:
            return []
        found.append(document)
        place = end + len(text[end:]) - len(text[end:].lstrip())
    return found


def compare(shown: str, said: str, where: str) -> None:
    """Compare what a page shows with what came."""
    if not shown.strip():
        return
    if shown.lstrip()[0] in "{[":
        assert fits(json.loads(shown), json.loads(said)), f"{where}: {said}"
    else:
        assert without_numbers(shown) == without_numbers(said), f"{where}:\n{said}"


def fits(shown: Any, said: Any, name: str = "") -> bool:
    """Whether all that is shown came: names, kinds of values, and the values of those that a page explains.

    A page may leave out names, and members of lists.
    """
    if isinstance(shown, dict):
        return isinstance(said, dict) and all(
            each in said and fits(content, said[each], each) for each, content in shown.items()
        )
    if isinstance(shown, list):
        return isinstance(said, list) and all(any(fits(each, other) for other in said) for each in shown)
    if name in EXACT or isinstance(shown, bool | None):
        return bool(shown == said)
    return isinstance(said, str) if isinstance(shown, str) else isinstance(said, int | float)


def without_numbers(text: str) -> list[list[str]]:
    """Words of each line, a number being like any other."""
    lines = (re.sub(r"-?\d[\d.,:e+-]*", "0", line).split() for line in text.splitlines())
    return [line for line in lines if line]
