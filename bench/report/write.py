"""Write a record's files."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from bench.environments import NotInstallable
from bench.environments.python import plotting
from bench.report.markdown import page

if TYPE_CHECKING:
    from pathlib import Path

    from bench.report.record import Record

__all__ = ["write"]


def write(record: Record, folder: Path, name: str) -> Path:
    """Write JSON, plots and page; return the page's path. Without matplotlib there are no plots."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / f"{name}.json"
    data.write_text(record.to_json(), "utf-8")
    path = folder / f"{name}.md"
    path.write_text(page(record, _draw(data, folder)), "utf-8")
    return path


def _draw(data: Path, folder: Path) -> list[tuple[str, str]]:
    for old in folder.glob(f"{data.stem}-*.svg"):
        old.unlink()
    try:
        command = plotting()
    except NotInstallable as reason:
        print(f"no plots: {reason}")
        return []
    done = subprocess.run([*command, str(data), str(folder)], capture_output=True, text=True, check=True)
    return [(file, text) for file, text in map(json.loads, done.stdout.splitlines())]
