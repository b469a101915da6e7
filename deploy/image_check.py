"""Build the image of the Dockerfile for real and run it: ``make image-check``, as root, on Debian or what is like it.

Needs buildah and debootstrap (``apt-get install --no-install-recommends buildah debootstrap crun``). No image hub is
asked: where there is no python:3.11-slim on this machine, one is made of Debian's packages and of the Python that runs
this. What is run in the container is isolated by `chroot` alone, and so has this machine's network. What was done, and
what was impossible and why, is said line by line; the exit status is 0 when all was done and good, 1 when something was
wrong, 2 when something was impossible.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
            with container(driver) as name:
                commands(driver, name)
                service(driver, name)
        finally:
            if not keep:
                buildah(driver, "rmi", BUILT, check=False)
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
    missing = [each for each in ("buildah", "debootstrap", "crun") if shutil.which(each) is None]
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


@contextmanager
def container(driver: str) -> Iterator[str]:
    """A container of the image."""
    name = buildah(driver, "from", "--pull-never", BUILT)
    try:
        yield name
    finally:
        buildah(driver, "rm", name, check=False)


def inside(driver: str, name: str, *command: str, **variables: str) -> list[str]:
    """How a command is run in the container, as the user of the image."""
    given = [word for each in variables.items() for word in ("--env", "=".join(each))]
    return ["buildah", "--storage-driver", driver, "run", "--isolation", "chroot", *given, name, "--", *command]


def commands(driver: str, name: str) -> None:
    """Every command can be loaded, and the doctor finds nobody before the service starts."""
    helped = ran(inside(driver, name, "recommender", "--help"))
    if helped.returncode or "Not available" in helped.stdout.replace("tune", "", 1):
        raise WrongError(f"recommender --help: {tail(helped)}")
    for module in ("lightfm_serve", "s3fs", "ray.data", "deployments.batch_command"):
        loaded = ran(inside(driver, name, "python", "-c", f"import {module}"))
        if loaded.returncode:
            raise WrongError(f"import {module}: {tail(loaded)}")
    who = ran(inside(driver, name, "id", "-u")).stdout.strip()
    if who != "1000":
        raise WrongError(f"the user in the container is {who}")
    looked = ran(inside(driver, name, "recommender", "doctor", "--url", "http://127.0.0.1:1", "--json"))
    if looked.returncode != 1 or "does not answer" not in looked.stdout:
        raise WrongError(f"recommender doctor: {tail(looked)}")
    said("done", "in the container every recommender command loads, and the doctor speaks")


def service(driver: str, name: str) -> None:
    """What the image starts: it becomes ready, answers who has a key, satisfies the doctor, and ends with SIGTERM."""
    key = secrets.token_hex(16)
    variables = {"RECOMMENDER_API_KEYS": f"admin:{key}", "RECOMMENDER_DATASET": "synthetic", "RAY_ADDRESS": "local"}
    command = json.loads(buildah(driver, "inspect", "--format", "{{json .OCIv1.Config.Cmd}}", name))
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(inside(driver, name, *command, **variables), stdout=log, stderr=log)
        try:
            wait_until_ready(process)
            ask(key)
            examine(driver, name, key)
            end(process)
        except WrongError as error:
            log.seek(0)
            raise WrongError(f"{error}\n{log.read()[-3_000:]}") from None
        finally:
            process.kill()


def examine(driver: str, name: str, key: str) -> None:
    """What the doctor says of the running service, from inside the container."""
    looked = ran(inside(driver, name, "recommender", "doctor", "--state-dir", "/state", RECOMMENDER_API_KEY=key))
    if looked.returncode:
        raise WrongError(f"the doctor of the running service: {looked.stdout}")
    said("done", "the service answers, with a key only, and the doctor finds nothing that would hurt it")


def wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    """Ask for readiness until it is there."""
    begin = time.monotonic()
    while time.monotonic() < begin + READY_WITHIN_S:
        if process.poll() is not None:
            raise WrongError(f"the service ended with {process.returncode}")
        if status("/readyz") == 200:
            said("done", f"the service is ready after {time.monotonic() - begin:.0f} s")
            return
        time.sleep(1)
    raise WrongError(f"the service is not ready after {READY_WITHIN_S:.0f} s")


def ask(key: str) -> None:
    """One request with the key and one without."""
    path = "/v1/users/nobody/recommendations?k=3"
    if (found := status(path)) != 401:
        raise WrongError(f"{path} without a key: {found}")
    if (found := status(path, key)) != 200:
        raise WrongError(f"{path} with a key: {found}")


def status(path: str, key: str | None = None) -> int | None:
    """Status of an answer; None where there is none."""
    request = urllib.request.Request(f"{URL}{path}", headers={"Authorization": f"Bearer {key}"} if key else {})  # noqa: S310 (ours)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 (the same)
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to what the container runs, as ``docker stop`` sends it; nothing may be left."""
    doomed = descendants(process.pid)
    first = next(pid for pid in doomed if b"serve\0run" in words(pid) and b"buildah" not in words(pid))
    os.kill(first, signal.SIGTERM)
    deadline = time.monotonic() + ENDS_WITHIN_S
    while left := [pid for pid in doomed if words(pid)]:
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise WrongError(f"{len(left)} processes are left {ENDS_WITHIN_S:.0f} s after SIGTERM")
        process.poll()
        time.sleep(0.2)
    said("done", "SIGTERM ends the service and every process of it")


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
