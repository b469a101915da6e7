"""Public faces of the library: what each room exports; documentation and examples import nothing deeper."""

import ast
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys

import pytest

import recommender
from tests.support.pages import PAGES, ROOT, blocks_of

ROOMS = sorted(f"recommender.{module.name}" for module in pkgutil.iter_modules(recommender.__path__) if module.ispkg)
FACES = ["recommender", *ROOMS]
MARKDOWN = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
MEANT_FOR_USERS = re.compile(r"recommender(\.\w+)?|lightfm_serve")
"""`recommender`, one of its rooms or leaves, and the client."""
NOT_FOR_STARTING = ("scipy", "lightfm", "pandas", "numba", "pyarrow", "redis")


@pytest.mark.parametrize("name", FACES)
def test_every_member_of_a_face_is_there(name):
    face = importlib.import_module(name)

    assert face.__all__
    assert [member for member in face.__all__ if getattr(face, member, None) is None] == []


@pytest.mark.parametrize("name", FACES)
def test_type_checkers_see_the_members_that_python_loads(name):
    face = importlib.import_module(name)
    imports = [node for node in ast.walk(ast.parse(inspect.getsource(face))) if isinstance(node, ast.ImportFrom)]
    typed = {alias.name: node.module for node in imports if node.level == 0 for alias in node.names}

    assert {member: getattr(importlib.import_module(typed[member]), member) for member in face.__all__} == {
        member: getattr(face, member) for member in face.__all__
    }


@pytest.mark.parametrize("name", FACES)
def test_no_member_has_the_name_of_a_module_beside_it(name):
    face = importlib.import_module(name)

    assert set(face.__all__) & {module.name for module in pkgutil.iter_modules(face.__path__)} == set()


def test_a_name_that_a_face_lacks_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        importlib.import_module("recommender.training").nothing  # noqa: B018


def test_importing_the_faces_loads_no_heavy_library():
    code = f"import sys, {', '.join(FACES)}; print(*(sys.modules.keys() & set({NOT_FOR_STARTING!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout.split() == []


@pytest.mark.parametrize("path", [*MARKDOWN, *NOTEBOOKS, *SCRIPTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_documentation_and_examples_import_public_faces_only(path):
    imported = {name for code in python_of(path) for name in imports_of(code) if is_ours(name)}

    assert sorted(name for name in imported if not MEANT_FOR_USERS.fullmatch(name)) == []


@pytest.mark.parametrize("path", [*MARKDOWN, *NOTEBOOKS, *SCRIPTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_they_import_members_that_are_public(path):
    taken = {pair for code in python_of(path) for pair in members_of(code) if pair[0] in [*FACES, "lightfm_serve"]}

    assert sorted(f"{face}.{member}" for face, member in taken if member not in members(face)) == []


def test_the_reference_names_members_of_faces():
    named = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "library.md").read_text(), re.MULTILINE)
    public = {f"{face}.{member}" for face in FACES for member in members(face)} | {"recommender.errors"}

    assert len(named) > 10
    assert sorted(set(named) - public) == []


def members(face):
    return importlib.import_module(face).__all__


def is_ours(name):
    return name.split(".")[0] in ("recommender", "deployments", "lightfm_serve", "benchmarks")


def python_of(path):
    """Python code of a page, a notebook or a script."""
    if path.suffix == ".md":
        return [block.text for block in blocks_of(path) if block.language == "python"]
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text())["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return [path.read_text()]


def imports_of(code):
    """Modules that code imports."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def members_of(code):
    """Pairs of a module and a name that code imports from it."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
