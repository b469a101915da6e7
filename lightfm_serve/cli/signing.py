"""Commands that make a key, sign versions and verify them; none needs a running service."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightfm_serve.cli.group import as_json, say, state_dir_option
from lightfm_serve.cli.trust import trust_of_environment
from recommender.errors import ArtifactError, InvalidDataError

if TYPE_CHECKING:
    from recommender.storage.registry import Registry


@click.group()
def signing() -> None:
    """Sign versions of the model, and verify who has signed them."""


@signing.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_json
def keygen(file: Path, as_json: bool) -> None:
    """Make an Ed25519 key: FILE, which only its owner can read, and FILE.pub for those who verify."""
    from recommender.storage.registry.signing import new_keys, write_keys

    keys = new_keys()
    public = write_keys(keys, file)
    shown = {"private": str(file), "public": str(public), "fingerprint": keys.fingerprint}
    say(shown, f"key {keys.fingerprint}: {file} signs, {public} verifies", as_json)


@signing.command()
@click.argument("versions", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All versions that there are.")
@state_dir_option
@as_json
def sign(versions: tuple[str, ...], everything: bool, state_dir: str, as_json: bool) -> None:
    """Sign VERSIONS that are there, whoever has trained them; all of their files are read first.

    The key is that of RECOMMENDER_SIGNING_KEY_FILE. No training may run meanwhile.
    """
    if bool(versions) == everything:
        raise click.UsageError("name versions, or --all")
    registry = _registry(state_dir, with_key=True)
    if registry.trust.key is None:
        raise InvalidDataError("set RECOMMENDER_SIGNING_KEY_FILE to a key; make one: recommender signing keygen FILE")
    chosen = list(versions) or [each.version for each in registry.versions()]
    asyncio.run(_sign(registry, state_dir, chosen))
    say({"signed": chosen}, "\n".join(f"signed {each}" for each in chosen), as_json)


@signing.command()
@click.argument("versions", nargs=-1)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Public key that counts; repeatable.  [default: those of RECOMMENDER_REQUIRE_SIGNED]",
)
@state_dir_option
@as_json
def verify(versions: tuple[str, ...], keys: tuple[str, ...], state_dir: str, as_json: bool) -> None:
    """Read all of VERSIONS, or of every version, and fail where one is damaged or not signed with a key that counts."""
    registry = _registry(state_dir, keys)
    if not registry.trust.accepted:
        raise click.UsageError("name the public keys that count: --key FILE, or RECOMMENDER_REQUIRE_SIGNED")
    chosen = list(versions) or sorted(registry.backend.versions())
    if not chosen:
        raise InvalidDataError(f"there is no version in {registry.backend.location}")
    faults = {each: fault for each in chosen if (fault := _fault(registry, each))}
    lines = [faults.get(each, f"version {each} is signed and as it was signed") for each in chosen]
    say({each: faults.get(each) for each in chosen}, "\n".join(lines), as_json)
    if faults:
        raise SystemExit(1)


async def _sign(registry: Registry, state_dir: str, versions: list[str]) -> None:
    from recommender.storage.lease import lease_on
    from recommender.storage.registry.maintenance import sign_version

    async with lease_on(state_dir).held():  # a training, or forgetting, would rewrite what is signed
        for version in versions:
            await asyncio.to_thread(sign_version, registry, version)


def _fault(registry: Registry, version: str) -> str | None:
    try:
        registry.verify(version)
    except ArtifactError as error:
        return str(error)
    return None


def _registry(state_dir: str, keys: tuple[str, ...] = (), *, with_key: bool = False) -> Registry:
    from recommender.storage.object_store import is_url, within
    from recommender.storage.registry import Registry

    if not is_url(state_dir) and not Path(state_dir).is_dir():
        raise InvalidDataError(f"there is no folder {Path(state_dir).absolute()}; name the service's with --state-dir")
    return Registry(within(state_dir, "models"), trust_of_environment(keys, with_key=with_key))
