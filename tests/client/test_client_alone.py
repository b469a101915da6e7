"""The client's own distribution, in an environment that has nothing but what it asks for."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "packaging" / "client"
CODE = """
import sys
import lightfm_serve
from lightfm_serve import Client, Interaction, UnreachableError
assert "site-packages" in lightfm_serve.__file__, lightfm_serve.__file__
with Client("http://127.0.0.1:9", retries=lightfm_serve.Retries(attempts=1)) as client:
    try:
        client.add_interactions([Interaction(user_id="u1", item_id="i1")])
    except UnreachableError:
        pass
assert all(getattr(lightfm_serve, name) is not None for name in lightfm_serve.__all__)
print(sorted({"ray", "numpy", "lightfm", "numba", "recommender", "deployments"} & set(sys.modules)))
"""


def needed(name: str) -> set[str]:
    """A distribution and all that it needs without extras."""
    asked = [Requirement(each) for each in distribution(name).requires or ()]
    here = (each.name for each in asked if each.marker is None or each.marker.evaluate({"extra": ""}))
    return {name}.union(*map(needed, here))


def run(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, env=clean, cwd=cwd)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, PROJECT)
    shutil.rmtree(PROJECT / "build", ignore_errors=True)
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("building a wheel needs setuptools from an index, and none answers")
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_client_works_where_only_httpx_and_msgspec_are(wheel, tmp_path):
    venv.create(tmp_path, with_pip=False)
    python = tmp_path / "bin" / "python"
    site = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])").stdout.strip())
    for name in needed("httpx") | needed("msgspec"):
        for file in distribution(name).files or []:
            if ".." not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), site / file)
    installed = run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel)
    assert installed.returncode == 0, installed.stderr

    done = run(python, "-W", "error", "-c", CODE, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


def test_the_server_contains_the_client_and_asks_for_no_older_libraries():
    client = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    server = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert client["project"]["version"] == server["project"]["version"]
    assert set(client["project"]["dependencies"]) <= set(server["project"]["dependencies"])
    assert "lightfm_serve*" in server["tool"]["setuptools"]["packages"]["find"]["include"]
    assert all((ROOT / package.replace(".", "/")).is_dir() for package in client["tool"]["setuptools"]["packages"])
