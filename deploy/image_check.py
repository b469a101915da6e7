"""Build the image of the Dockerfile for real and run it: ``make image-check``, as root, on Debian or what is like it.

Needs ``apt-get install --no-install-recommends buildah podman debootstrap runc crun``. No image hub is asked: where
there is no python:3.11-slim on this machine, one is made of Debian's packages and of the Python that runs this. The
container is one of podman's without a network, or, where podman can start none, one of buildah's that `chroot` alone
isolates and that has this machine's network. What was done, and what was impossible and why, is said line by line; the
exit status is 0 when all was done and good, 1 when something was wrong, 2 when nothing could be built or run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
BASE, BUILT = "python:3.11-slim", "localhost/lightfm-serve:check"
PACKAGES = (
    "ca-certificates,libbz2-1.0,libexpat1,libffi8,liblzma5,libncursesw6,"
    "libreadline8,libsqlite3-0,libssl3,libuuid1,zlib1g"
)
"""What a Python of /usr/local needs beside the smallest Debian."""
NOT_COPIED = ("test", "site-packages", "__pycache__", "config-3*", "idlelib", "tkinter")
URL = "http://127.0.0.1:8000"
KEY = secrets.token_hex(16)
VARIABLES = {"RECOMMENDER_API_KEYS": f"admin:{KEY}", "RECOMMENDER_DATASET": "synthetic", "RAY_ADDRESS": "local"}
LIMITS = (("nofile", resource.RLIMIT_NOFILE, 65_536), ("nproc", resource.RLIMIT_NPROC, 16_384))
"""At most what this machine has: podman's own wishes may be above that, and are then refused."""
ASK = """
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1])
if sys.argv[2]:
    request.add_header("Authorization", "Bearer " + sys.argv[2])
try:
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    pass
"""
READY_WITHIN_S, ENDS_WITHIN_S = 300.0, 60.0
OPTIONAL_MOUNTS = ("/etc/ssl/certs", "/etc/xdg/pip", "/opt")
"""Of this machine, for apt and pip inside the build only; nothing of them stays in the image."""


class ImpossibleError(Exception):
    """A step is not allowed on this machine; the message says which and why."""


class WrongError(Exception):
    """A step that was possible shows a fault of the image."""


def main() -> None:
    """Do each step, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep the image that was built")
    keep = parser.parse_args().keep
    try:
        tools()
        driver = storage_driver()
        base(driver)
        build(driver)
        try:
            container = started(driver)
            try:
                commands(container)
                service(container)
            except WrongError as error:
                raise WrongError(f"{error}\n{container.log()[-3_000:]}") from None
            finally:
                container.remove()
        finally:
            if not keep:
                buildah(driver, "rmi", BUILT, check=False)
        compose()
    except ImpossibleError as error:
        said("impossible", str(error))
        raise SystemExit(2) from None
    except WrongError as error:
        said("wrong", str(error))
        raise SystemExit(1) from None


def said(outcome: str, what: str) -> None:
    """Say how a step went."""
    sys.stdout.write(f"{outcome:10} {what}\n")
    sys.stdout.flush()


def ran(command: Sequence[str | Path], within_s: float = 1_800, **options: object) -> subprocess.CompletedProcess[str]:
    """What a command said; it may fail."""
    text = [str(each) for each in command]
    return subprocess.run(text, capture_output=True, text=True, timeout=within_s, check=False, **options)  # type: ignore[call-overload,no-any-return]


def buildah(driver: str, *arguments: str | Path, check: bool = True) -> str:
    """What buildah says."""
    done = ran(["buildah", "--storage-driver", driver, *arguments])
    if check and done.returncode:
        raise ImpossibleError(f"buildah {arguments[0]}: {tail(done)}")
    return done.stdout.strip()


def tail(done: subprocess.CompletedProcess[str]) -> str:
    """Last lines of what a command complained of."""
    return " | ".join((done.stderr or done.stdout).strip().splitlines()[-6:])


def tools() -> None:
    """Fail where a tool or a right is missing."""
    missing = [each for each in ("buildah", "podman", "debootstrap", "crun", "runc") if shutil.which(each) is None]
    if missing:
        raise ImpossibleError(
            f"{', '.join(missing)} is missing: apt-get install --no-install-recommends {' '.join(missing)}"
        )
    if os.getuid() != 0:
        raise ImpossibleError("debootstrap and chroot need root")
    said("done", "buildah and debootstrap are here")


def storage_driver() -> str:
    """Overlay where the kernel has it, else whole copies."""
    for driver in ("overlay", "vfs"):
        if ran(["buildah", "--storage-driver", driver, "info"]).returncode == 0:
            said("done", f"layers are stored as {driver}")
            return driver
    raise ImpossibleError("buildah can store layers neither as overlay nor as vfs")


def base(driver: str) -> None:
    """The image that the Dockerfile begins from: one of this machine, else a stand-in."""
    if ran(["buildah", "--storage-driver", driver, "inspect", "--type", "image", f"localhost/{BASE}"]).returncode == 0:
        said("done", f"{BASE} is on this machine")
        return
    if sys.version_info[:2] != (3, 11):
        raise ImpossibleError(f"the stand-in for {BASE} is made of the Python that runs this, which is not 3.11")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        root = Path(folder) / "root"
        bootstrapped(root)
        add_python(root)
        name = buildah(driver, "from", "scratch")
        buildah(driver, "add", "--quiet", name, root, "/")
        buildah(driver, "config", "--env", "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", name)
        buildah(driver, "commit", "--quiet", name, f"localhost/{BASE}")
        buildah(driver, "rm", name)
    said("done", f"no hub was asked: {BASE} is a stand-in of Debian's packages and the Python of this machine")


def bootstrapped(root: Path) -> None:
    """The smallest Debian, of the release and the mirror that this machine has."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line).get(
        "VERSION_CODENAME", ""
    )
    done = ran(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", release, root, mirror()])
    if done.returncode:
        raise ImpossibleError(f"debootstrap {release}: {tail(done)}")
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    if sources.exists():
        shutil.copy(sources, root / "etc/apt/sources.list.d")
        (root / "etc/apt/sources.list").unlink(missing_ok=True)


def mirror() -> str:
    """Where this machine gets Debian's packages."""
    said_by_apt = ran(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]).stdout.split()
    if not said_by_apt:
        raise ImpossibleError("apt-get knows no mirror of Debian")
    return said_by_apt[0]


def add_python(root: Path) -> None:
    """Python where the image of the hub has it."""
    base_python = Path(sys.base_prefix)
    shutil.copytree(
        base_python / "lib", root / "usr/local/lib", ignore=shutil.ignore_patterns(*NOT_COPIED), dirs_exist_ok=True
    )
    shutil.copytree(base_python / "include", root / "usr/local/include", dirs_exist_ok=True)
    shutil.copy(Path(sys.executable).resolve(), root / "usr/local/bin/python3.11")
    for link in ("python3", "python"):
        (root / "usr/local/bin" / link).symlink_to("python3.11")
    for command in (["ldconfig"], ["python", "-m", "ensurepip"]):
        done = ran(["chroot", root, "/usr/bin/env", "PATH=/usr/local/bin:/usr/sbin:/sbin:/usr/bin:/bin", *command])
        if done.returncode:
            raise ImpossibleError(f"{' '.join(command)} in the stand-in: {tail(done)}")


def build(driver: str) -> None:
    """The image, as ``docker build .`` would; apt and pip of the build are configured as this machine's are."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "pip.conf"
        settings.write_text(pip_settings())
        mounts = [f"{settings}:/etc/pip.conf:ro"]
        mounts += [f"{each}:{each}:ro" for each in OPTIONAL_MOUNTS if Path(each).exists()]
        done = ran(
            [
                "buildah",
                "--storage-driver",
                driver,
                "bud",
                "--isolation",
                "chroot",
                "--pull-never",
                "--layers",
                "--format",
                "docker",
            ]
            + [word for mount in mounts for word in ("--volume", mount)]
            + ["--tag", BUILT, ROOT],
            within_s=3_600,
        )
    if done.returncode:
        raise WrongError(f"the build fails: {tail(done)}")
    said("done", f"the image is built in {time.monotonic() - begin:.0f} s")


def pip_settings() -> str:
    """What pip of this machine goes by, its environment included, as a file that only lives for the build."""
    lines = ran([sys.executable, "-m", "pip", "config", "list"]).stdout.splitlines()
    names = {}
    for line in lines:
        name, _, value = line.partition("=")
        names[name.replace(":env:.", "global.").removeprefix("global.")] = value.strip("'")
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in names.items() if "." not in name)


class Podman:
    """A container with namespaces of its own and no network, whose first process is what the image starts.

    Parameters
    ----------
    command
        ``podman`` and what this machine needs behind it.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._name = f"image-check-{secrets.token_hex(4)}"

    def start(self, **variables: str) -> None:
        """Start what the image starts."""
        given = [word for each in variables.items() for word in ("--env", "=".join(each))]
        hard = {name: resource.getrlimit(kind)[1] for name, kind, _ in LIMITS}
        most = {name: most if hard[name] < 0 else min(most, hard[name]) for name, _, most in LIMITS}
        limits = [word for name, limit in most.items() for word in ("--ulimit", f"{name}={limit}:{limit}")]
        # its health check is run by hand: podman leaves that to systemd
        options = [
            "--name",
            self._name,
            "--detach",
            "--no-healthcheck",
            "--network",
            "none",
            "--shm-size",
            "1g",
            *limits,
        ]
        done = self._ran("run", *options, *given, BUILT)
        if done.returncode:
            self.remove()
            raise ImpossibleError(f"{' '.join(self._command)} run: {tail(done)}")

    def inside(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """What a command in the container says, run as the user of the image."""
        given = [word for each in variables.items() for word in ("--env", "=".join(each))]
        return self._ran("exec", *given, self._name, *command)

    def is_well(self) -> bool:
        """Whether the image's own health check finds it well."""
        shown = self._ran("image", "inspect", "--format", "{{json .HealthCheck}}", BUILT)
        kind, *command = json.loads(shown.stdout)["Test"]
        return kind == "CMD" and self.inside(*command).returncode == 0

    def stop(self) -> None:
        """SIGTERM, as ``docker stop`` sends it."""
        begin = time.monotonic()
        self._ran("stop", "--time", f"{ENDS_WITHIN_S:.0f}", self._name)
        if time.monotonic() - begin > ENDS_WITHIN_S:
            raise WrongError(f"it did not end within {ENDS_WITHIN_S:.0f} s of SIGTERM")
        state = self._ran("inspect", "--format", "{{.State.Status}} {{.State.OOMKilled}}", self._name).stdout.split()
        if state != ["exited", "false"]:
            raise WrongError(f"after SIGTERM it is {' '.join(state)}")

    def log(self) -> str:
        """What it wrote."""
        done = self._ran("logs", self._name)
        return done.stdout + done.stderr

    def remove(self) -> None:
        """End it, whatever it does."""
        self._ran("rm", "--force", "--time", "0", self._name)

    def _ran(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return ran([*self._command, *arguments])


class Chroot:
    """A container of buildah's, isolated by ``chroot`` alone.

    Parameters
    ----------
    driver
        How layers are stored.
    """

    def __init__(self, driver: str) -> None:
        self._driver = driver
        self._name = buildah(driver, "from", "--pull-never", BUILT)
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (lives as long as the container)
        self._process: subprocess.Popen[str] | None = None

    def start(self, **variables: str) -> None:
        """Start what the image starts."""
        command = json.loads(buildah(self._driver, "inspect", "--format", "{{json .OCIv1.Config.Cmd}}", self._name))
        whole = self._command(command, variables)
        self._process = subprocess.Popen(whole, stdout=self._log, stderr=self._log, text=True)

    def inside(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """What a command in the container says, run as the user of the image."""
        return ran(self._command(command, variables))

    def is_well(self) -> bool:
        """Whether what it started runs; buildah knows no health check."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """SIGTERM to what was started, as ``docker stop`` sends it; nothing may be left."""
        assert self._process is not None  # noqa: S101 (started before)
        doomed = descendants(self._process.pid)
        os.kill(
            next(pid for pid in doomed if b"serve\0run" in words(pid) and b"buildah" not in words(pid)), signal.SIGTERM
        )
        deadline = time.monotonic() + ENDS_WITHIN_S
        while left := [pid for pid in doomed if words(pid)]:
            if time.monotonic() > deadline:
                raise WrongError(f"{len(left)} processes are left {ENDS_WITHIN_S:.0f} s after SIGTERM")
            self._process.poll()
            time.sleep(0.2)

    def log(self) -> str:
        """What it wrote."""
        self._log.seek(0)
        return self._log.read()

    def remove(self) -> None:
        """End it, whatever it does."""
        for pid in descendants(self._process.pid) if self._process else []:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        buildah(self._driver, "rm", self._name, check=False)

    def _command(self, command: Sequence[str], variables: Mapping[str, str]) -> list[str]:
        given = [word for each in variables.items() for word in ("--env", "=".join(each))]
        return [
            "buildah",
            "--storage-driver",
            self._driver,
            "run",
            "--isolation",
            "chroot",
            *given,
            self._name,
            "--",
            *command,
        ]


Container = Podman | Chroot


def started(driver: str) -> Container:
    """The image's service in the best container that this machine allows."""
    for runtime in ("crun", "runc"):
        container = Podman(["podman", "--storage-driver", driver, "--cgroup-manager", "cgroupfs", "--runtime", runtime])
        try:
            container.start(**VARIABLES)
        except ImpossibleError as error:
            said("impossible", str(error))
        else:
            said("done", f"podman with {runtime} runs the image, in namespaces of its own and without a network")
            return container
    isolated = Chroot(driver)
    isolated.start(**VARIABLES)
    said("done", "buildah runs the image, isolated by chroot alone")
    return isolated


def commands(container: Container) -> None:
    """Every command can be loaded, and the doctor says where nobody answers."""
    helped = container.inside("recommender", "--help")
    if helped.returncode or "batch" not in helped.stdout:
        raise WrongError(f"recommender --help: {tail(helped)}")
    for module in ("lightfm_serve", "s3fs", "ray.data", "lightfm_serve.cli.batch"):
        loaded = container.inside("python", "-c", f"import {module}")
        if loaded.returncode:
            raise WrongError(f"import {module}: {tail(loaded)}")
    who = container.inside("id", "-u").stdout.strip()
    if who != "1000":
        raise WrongError(f"the user in the container is {who}")
    looked = container.inside("recommender", "doctor", "--url", "http://127.0.0.1:1", "--state-dir", "/state")
    if looked.returncode != 1 or "does not answer" not in looked.stdout:
        raise WrongError(f"recommender doctor: {tail(looked)}")
    said("done", "in the container every recommender command loads, and the doctor speaks")


def service(container: Container) -> None:
    """What the image starts becomes ready, answers who has a key, satisfies the doctor, and ends with SIGTERM."""
    wait_until_ready(container)
    path = "/v1/users/nobody/recommendations?k=3"
    for key, expected in ((None, "401"), (KEY, "200")):
        if (found := status(container, path, key)) != expected:
            raise WrongError(f"{path} {'with' if key else 'without'} a key: {found}, not {expected}")
    if not container.is_well():
        raise WrongError("the image's health check says that it is not well")
    looked = container.inside("recommender", "doctor", "--state-dir", "/state", RECOMMENDER_API_KEY=KEY)
    if looked.returncode:
        raise WrongError(f"the doctor of the running service: {looked.stdout}")
    said("done", "the service answers, with a key only, and its health check and the doctor find it well")
    begin = time.monotonic()
    container.stop()
    said("done", f"SIGTERM ends it within {time.monotonic() - begin:.0f} s, and leaves nothing")


def wait_until_ready(container: Container) -> None:
    """Ask for readiness until it is there."""
    begin = time.monotonic()
    while time.monotonic() < begin + READY_WITHIN_S:
        if status(container, "/readyz") == "200":
            said("done", f"the service is ready after {time.monotonic() - begin:.0f} s")
            return
        time.sleep(2)
    raise WrongError(f"the service is not ready after {READY_WITHIN_S:.0f} s")


def status(container: Container, path: str, key: str | None = None) -> str:
    """Status of an answer, asked for inside the container; empty where there is none."""
    return container.inside("python", "-c", ASK, f"{URL}{path}", key or "").stdout.strip()


def compose() -> None:
    """What compose.yaml says is well-formed; the images beside ours come from a hub."""
    if shutil.which("podman-compose") is None:
        said("impossible", "compose.yaml is not run: podman-compose is missing")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("compose.yaml", "Dockerfile", "deploy"):
            copied = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copied(ROOT / name, Path(folder) / name)
        (Path(folder) / "keys").touch()
        read = ran(["podman-compose", "--dry-run", "-f", Path(folder) / "compose.yaml", "up", "--detach"], cwd=folder)
    if read.returncode:
        raise WrongError(f"podman-compose --dry-run up: {tail(read)}")
    said("done", "podman-compose reads compose.yaml, and says what it would run")
    said("impossible", "compose.yaml is not run: Valkey's, Prometheus' and Grafana's images come from a hub")


def descendants(pid: int) -> list[int]:
    """All processes that one has started, and they, nearest first."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            children.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
        except OSError:
            continue
    found = list(children.get(pid, []))
    for each in found:
        found += children.get(each, [])
    return found


def words(pid: int) -> bytes:
    """Command of a process; nothing once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    main()
