"""A real server with TLS and ACL, as a managed Redis is."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.errors import StoreError, StoreUnavailableError
from tests.support.store_servers import Server, click, free_port, opened, run, start_redis, wait_until

RIGHTS = "--user default off --user recommender on >s3cret ~{rec}:* +@read +@write +@scripting +@connection +time +info"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="rs"))
    certify(folder, "ours")
    certify(folder, "others")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    port = free_port()
    options = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    options += ["--tls-cert-file", str(folder / "ours.pem"), "--tls-key-file", str(folder / "ours.key")]
    options += ["--tls-ca-cert-file", str(folder / "ours.pem"), *RIGHTS.split()]
    server: Server = start_redis(folder, 0, *options, wait=False)
    wait_until(lambda: b"Ready to accept" in _log(folder) or server.process.poll() is not None)
    if server.process.poll() is not None:
        assert not _log(folder) or b"TLS support" in _log(folder), _log(folder)
        pytest.skip("this redis-server was built without TLS: it does not know the options, or says so")
    yield port
    server.end()


def _log(folder: Path) -> bytes:
    return (folder / "log").read_bytes() if (folder / "log").exists() else b""


def certify(folder: Path, name: str) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not on PATH")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
    subprocess.run(command, check=True, capture_output=True)


def url(folder: Path, port: int, word: str = "s3cret", authority: str = "ours") -> str:
    return f"rediss://recommender:{word}@127.0.0.1:{port}/0?ssl_ca_certs={folder / f'{authority}.pem'}"


def test_everything_works_over_tls_with_the_rights_in_the_documentation(folder: Path, port: int) -> None:
    async def work() -> None:
        async with opened(url(folder, port), fetch_timeout_s=1.0) as store:
            appended = await store.append([click("tls", "i", "e")])
            assert (await store.fetch(["tls"])).users[0].recent == (("i", appended.last_offset),)
            assert (await store.ping()).engine == "redis"

    run(work())


def test_a_server_that_another_authority_vouches_for_is_refused(folder: Path, port: int) -> None:
    async def work() -> None:
        async with opened(url(folder, port, authority="others")) as store:
            with pytest.raises(StoreUnavailableError, match="certificate"):
                await store.state()
        await asyncio.sleep(0.1)  # asyncio closes the transport of a failed handshake a little later

    run(work())


def test_a_wrong_password_is_an_error_that_does_not_repeat_it(folder: Path, port: int) -> None:
    async def work() -> str:
        async with opened(url(folder, port, word="wr0ng")) as store:
            with pytest.raises(StoreError) as refused:
                await store.state()
            return repr(store) + str(refused.value)

    assert "wr0ng" not in run(work())
