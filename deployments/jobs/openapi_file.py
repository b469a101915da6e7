"""Writer of the OpenAPI document: ``python -m deployments.jobs.openapi_file docs/openapi.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from deployments.ingress import build_api


def text() -> str:
    """The document as it is written, the same for the same routes."""
    return json.dumps(build_api().openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
