"""An S3 server on this machine: moto's, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.store_servers import free_port, wait_until

NAME = "states"


class S3Server:
    """One bucket behind a port; what it holds is gone with the process."""

    def __init__(self) -> None:
        self.port = free_port()
        command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, 60)
        httpx.put(f"{self._url}/{NAME}").raise_for_status()

    @property
    def environment(self) -> dict[str, str]:
        """What a client of it needs; it gives up at once where the server is down."""
        return {
            "AWS_ENDPOINT_URL": self._url,
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def url(self, name: str) -> str:
        return f"s3://{NAME}/{name}"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        assert self.process.poll() is None
        try:
            return httpx.get(self._url).status_code < 500
        except httpx.TransportError:
            return False


def use(server: S3Server) -> None:
    os.environ.update(server.environment)
