"""Doctor: looks at a running service from outside and says what would hurt it, and what to do."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import httpx

from lightfm_serve.cli.trust import trust_of_environment
from recommender.errors import ArtifactError, UntrustedVersionError
from recommender.storage.object_store import is_url, within
from recommender.storage.registry import Registry

TIMEOUT_S = 5.0
RAY_JOBS = "http://127.0.0.1:8265/api/jobs/"
ENOUGH_BYTES = 1 << 30
LISTENING = "0A"
ANYWHERE = ("0" * 8, "0" * 32)
"""How /proc/net writes 0.0.0.0 and ::."""


class Finding(NamedTuple):
    """One thing that was looked at; `advice` is empty when it is well."""

    name: str
    state: Literal["ok", "warning", "failed"]
    said: str
    advice: str = ""


def examine(url: str, key: str | None, state_dir: Path | str | None, ray_jobs: str = RAY_JOBS) -> Iterator[Finding]:
    """Everything that can be seen.

    Parameters
    ----------
    url
        Of the service.
    key
        With the scope read; None when the service has no keys.
    state_dir
        Of the service, a folder of this machine or a URL; None: what is in it is not looked at.
    ray_jobs
        Ray's job API, which runs whatever code it is given.
    """
    yield from _service(url, key)
    yield _ray(ray_jobs)
    yield _token(Path.home() / ".ray" / "auth_token")
    if state_dir is not None:
        yield from _state(state_dir)


def _service(url: str, key: str | None) -> Iterator[Finding]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=url, timeout=TIMEOUT_S, headers=headers) as client:
        try:
            ready = client.get("/readyz")
        except httpx.TransportError as error:
            yield Finding(
                "service", "failed", f"{url} does not answer ({type(error).__name__})", "start it: recommender serve"
            )
            return
        yield _ready(ready)
        yield _keys(url)
        yield from _status(client.get("/v1/status"))


def _state(state_dir: Path | str) -> Iterator[Finding]:
    if not is_url(state_dir) and not Path(state_dir).is_dir():
        yield Finding(
            "state",
            "failed",
            f"there is no folder {Path(state_dir).absolute()}, so neither versions nor room were looked at",
            "name the service's with --state-dir",
        )
        return
    yield from _versions(within(state_dir, "models"))
    if not is_url(state_dir):
        yield _disk(Path(state_dir))


def _ready(answer: httpx.Response) -> Finding:
    if answer.status_code == 200:
        return Finding("service", "ok", "a model serves")
    return Finding("service", "failed", "no model serves yet", "see training in /v1/status, and the log of the trainer")


def _keys(url: str) -> Finding:
    if httpx.get(f"{url}/v1/popular?k=1", timeout=TIMEOUT_S).status_code == 401:
        return Finding("keys", "ok", "the service asks for a key")
    port = urlsplit(url).port or 80
    if _listens_everywhere(port):
        return Finding(
            "keys",
            "failed",
            f"the service has no keys, and port {port} is open to other machines",
            "set RECOMMENDER_API_KEYS or RECOMMENDER_API_KEYS_FILE, or http_options.host: 127.0.0.1",
        )
    return Finding("keys", "ok", "no keys, and only this machine can ask")


def _status(answer: httpx.Response) -> Iterator[Finding]:
    if answer.status_code != 200:
        yield Finding(
            "status",
            "failed",
            f"/v1/status answers {answer.status_code}",
            "name a file with a key of the scope read: --key-file, or set RECOMMENDER_API_KEY",
        )
        return
    status: dict[str, Any] = answer.json()
    for part, health in status["health"].items():
        well = health == "ok"
        yield Finding(part, "ok" if well else "failed", health, "" if well else f"see the log of the {part}")
    store = status["store"]
    if store:
        for warning in store["warnings"]:
            yield Finding("store", "warning", warning, "change it in the store's configuration")
        if not store["warnings"]:
            yield Finding("store", "ok", f"{store['engine']} {store['version']} keeps all that it takes")


def _ray(ray_jobs: str) -> Finding:
    try:
        status = httpx.get(ray_jobs, timeout=TIMEOUT_S).status_code
    except httpx.TransportError:
        return Finding("ray", "ok", "no job API of Ray answers here")
    if status == 200:
        return Finding(
            "ray",
            "failed",
            "Ray's job API runs the code of whoever asks, without a token",
            "start the service with recommender serve, or set RAY_AUTH_MODE=token",
        )
    return Finding("ray", "ok", "Ray's job API asks for a token")


def _token(path: Path) -> Finding:
    try:
        mode = path.stat().st_mode
    except OSError:
        return Finding("ray token", "ok", "there is none in this home")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding("ray token", "warning", f"{path} can be read by others of this machine", f"chmod 600 {path}")
    return Finding("ray token", "ok", "only its owner can read it")


def _versions(models: Path | str) -> Iterator[Finding]:
    registry = Registry(models, trust_of_environment())
    versions = [each.version for each in registry.versions() if each.status != "rejected"]
    damaged = 0
    for version in versions:
        try:
            registry.verify(version)
        except ArtifactError as error:
            damaged += 1
            yield Finding("versions", "failed", str(error), f"the service passes it over; {_way_out(error)}")
    if damaged:
        return
    if versions:
        yield Finding("versions", "ok", f"all {len(versions)} on disk can be served and gone on from")
    else:
        yield Finding("versions", "failed", f"{models} has no version", "train one: POST /v1/models")


def _way_out(error: ArtifactError) -> str:
    if isinstance(error, UntrustedVersionError):
        return "look where it is from, and sign it (recommender signing sign) or remove it"
    return "restore it or remove its folder"


def _disk(state_dir: Path) -> Finding:
    free = shutil.disk_usage(state_dir).free
    said = f"{free / 2**30:.1f} GiB are free in {state_dir}"
    if free < ENOUGH_BYTES:
        return Finding("disk", "warning", said, "make room: a full disk stops learning, not serving")
    return Finding("disk", "ok", said)


def _listens_everywhere(port: int) -> bool:
    """Whether something on this machine listens on a port on every address; False where that cannot be seen."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        lines = Path(table).read_text().splitlines()[1:] if Path(table).exists() else []
        for line in lines:
            words = line.split()
            host, _, listening_on = words[1].partition(":")
            if words[3] == LISTENING and int(listening_on, 16) == port and host in ANYWHERE:
                return True
    return False
