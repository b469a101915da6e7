"""Rows of a run as docs/reliability.md: ``python tests/reliability/table.py ROWS.jsonl``."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
MARK = "<!-- below: written by make reliability -->\n"


def shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def main() -> None:
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    machine = (
        f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )
    lines = [
        f"Measured {datetime.now(UTC):%d %B %Y} on {machine}.\n",
        "| fault | injected how | requests | failed | lost | recovery, s | |",
        "|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(shown(row[name]) for name in row)} |" for row in rows),
    ]
    text, _, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(text + MARK + "\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
