"""Code hash: which release of the code runs."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import deployments
import lightfm_serve.records
import recommender

KINDS = {".py", ".lua"}


@cache
def release() -> str:
    """Short hash of this code; two processes with the same one can work together."""
    digest = hashlib.sha256()
    for package in (deployments, recommender, lightfm_serve.records):
        root = Path(package.__path__[0])
        for path in sorted(path for path in root.rglob("*") if path.suffix in KINDS):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
