"""Machines on this machine: network namespaces, each with an address of its own on a bridge, whose link can be cut."""

import os
import secrets
import subprocess
from pathlib import Path

import httpx

from tests.support.running_cluster import Node, RunningCluster
from tests.support.running_service import ROOT
from tests.support.steady_load import SteadyLoad

KEY = secrets.token_hex(16)
WITH_KEY = {"authorization": f"Bearer {KEY}"}


def ip(*words: str) -> None:
    subprocess.run(["/usr/bin/env", "ip", *words], check=True, capture_output=True, text=True)


def are_possible() -> bool:
    """Whether this process may make network namespaces and bridges."""
    name = f"p{os.getpid()}"
    try:
        ip("netns", "add", name)
        try:
            ip("link", "add", name, "type", "bridge")
            ip("link", "del", name)
        finally:
            ip("netns", "del", name)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


class Machine:
    """A namespace with one address; nothing leads from there to anywhere but its bridge."""

    def __init__(self, network: "Network", number: int) -> None:
        self.name = f"{network.name}m{number}"
        self.address = f"{network.prefix}.{number}"
        ip("netns", "add", self.name)
        ip("link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", self.name, "master", network.name, "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{self.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", "default", "via", network.address),  # Ray finds its address by asking for a route
        ):
            ip("-netns", self.name, *words)

    def cut(self) -> None:
        """Pull the cable: nothing is refused, everything is lost."""
        ip("link", "set", self.name, "down")

    def mend(self) -> None:
        ip("link", "set", self.name, "up")

    def end(self) -> None:
        ip("link", "del", self.name)  # the namespace goes when the last that held it has gone
        ip("netns", "del", self.name)


class Network:
    """A bridge and its machines; this process is on it too, at `address`."""

    def __init__(self) -> None:
        self.name = f"n{os.getpid()}"
        self.prefix = f"198.18.{os.getpid() % 256}"  # of the addresses that are kept for measuring (RFC 2544)
        self.address = f"{self.prefix}.254"
        self.machines: list[Machine] = []
        ip("link", "add", self.name, "type", "bridge")
        ip("address", "add", f"{self.address}/24", "dev", self.name)
        ip("link", "set", self.name, "up")

    def add(self) -> Machine:
        self.machines.append(Machine(self, len(self.machines) + 1))
        return self.machines[-1]

    def end(self) -> None:
        for machine in self.machines:
            machine.end()
        ip("link", "del", self.name)


class ClusterOfMachines(RunningCluster):
    """A cluster whose nodes share nothing but a network and the folder of the state; each has a HAProxy of its own."""

    def __init__(self, folder: Path, network: Network, code: Path = ROOT, **args: object) -> None:
        super().__init__(folder, code, **args)
        self.network = network
        self.content["proxy_location"] = "EveryNode"
        self.content["http_options"]["host"] = "0.0.0.0"  # noqa: S104 (of a namespace that only this machine reaches)
        self.variables["RECOMMENDER_API_KEYS"] = f"admin:{KEY}"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, headers={"content-type": "application/json", **WITH_KEY})

    def load(self, node: Node, path, **options: object) -> SteadyLoad:
        """Requests to the HAProxy of a node."""
        return SteadyLoad(self.port, path, host=node.machine.address, headers=WITH_KEY, **options)

    def start_head(self, *options: str, **environment: str) -> Node:
        """The head, on a machine of its own, or again on the one that it was on."""
        self._machine = self.nodes[0].machine if self.nodes else self.network.add()
        self.host = self._machine.address
        # Ray sees the processes of the other machines, and would say that it runs here already
        (self._own_folder() / "ray_current_cluster").unlink(missing_ok=True)
        others = self.nodes[1:]
        self.nodes.clear()
        head = super().start_head(*options, **environment)
        self.nodes += others
        return head

    def join(self) -> Node:
        self._machine = self.network.add()
        return super().join()

    def rejoin(self, node: Node) -> Node:
        """What a supervisor does: start again what has ended, on the same machine."""
        self.nodes.remove(node)
        self._machine = node.machine
        return super().join()

    def _start(self, *options: str) -> Node:
        node = super()._start(f"--node-ip-address={self._machine.address}", *options)
        node.machine = self._machine
        return node

    def _inside(self, command: list[str]) -> list[str]:
        # Ray's sockets and logs of one machine are not to be seen by another
        script = f'mount --bind {self._own_folder()} {self._temporary} && exec "$@"'
        return ["ip", "netns", "exec", self._machine.name, "sh", "-c", script, "sh", *command]

    def _own_folder(self) -> Path:
        own = self.folder / self._machine.name
        own.mkdir(exist_ok=True)
        return own
