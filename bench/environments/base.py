"""Where environments lie, how something is installed, what a driver needs to run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.peers import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.peers import Peer

__all__ = ["CACHE", "Environment", "NotInstallable", "install", "python_path", "run"]

CACHE = Path(os.environ.get("BENCH_ENVIRONMENTS", Path(__file__).parents[1] / ".environments"))
_READY = "ready.json"


class NotInstallable(Exception):
    """A peer cannot be installed here."""


@dataclass(frozen=True, slots=True)
class Environment:
    """How a peer's driver and worker are run; `note`: what is to be known about its installation."""

    driver: tuple[str, ...]
    worker: tuple[str, ...]
    versions: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None


def install(peer: Peer, renew: bool, make: Callable[[Path, Sequence[str]], None]) -> tuple[Path, str | None]:
    """Make a peer's folder unless it is there; return it, and why it is not the newest release, if so.

    `make` installs packages into an empty folder. Raises NotInstallable.
    """
    folder = CACHE / peer.name
    asked = [list(peer.packages), list(peer.otherwise)]
    ready = _read(folder / _READY)
    if renew or ready.get("asked") != asked:
        note = _install(peer, folder, make)
        ready = {"asked": asked, "note": note}
        (folder / _READY).write_text(json.dumps(ready), "utf-8")
    return folder, ready["note"]


def _install(peer: Peer, folder: Path, make: Callable[[Path, Sequence[str]], None]) -> str | None:
    try:
        _make(folder, peer.packages, make)
    except NotInstallable as reason:
        if not peer.otherwise:
            raise
        _make(folder, peer.otherwise, make)
        return f"the newest release cannot be installed ({reason}): {', '.join(peer.otherwise)} is measured"
    return None


def _make(folder: Path, packages: Sequence[str], make: Callable[[Path, Sequence[str]], None]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make(folder, packages)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def run(command: Sequence[str], folder: Path | None = None) -> None:
    """Run an installer's command. Raises NotInstallable with its last word."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        told = [line for line in lines if "error" in line.lower() and "log of this run" not in line]
        program = command[0].rsplit("/", 1)[-1]
        raise NotInstallable(f"{program} says: {(told or lines or ['nothing'])[-1].strip()}")


def python_path(peer: Peer, *before: Path) -> dict[str, str]:
    """Return the variables under which a driver in Python finds what it imports."""
    places = [*before, PROTOCOL, peer.folder]
    return {**peer.variables, "PYTHONPATH": os.pathsep.join(map(str, places))}
