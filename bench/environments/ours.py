"""Howdah as it lies here, or as it was at a commit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.environments.base import CACHE, Environment, NotInstallable, python_path
from bench.environments.python import versions

if TYPE_CHECKING:
    from bench.peers import Peer

__all__ = ["prepare"]

_ROOT = Path(__file__).parents[2]


def prepare(peer: Peer, *, renew: bool = False) -> Environment:
    """Take the installed package, or unpack the sources of a commit. Raises NotInstallable."""
    driver, worker = (sys.executable, str(peer.driver)), (sys.executable, "-m", *peer.worker)
    shown = versions(Path(sys.executable), peer)
    if peer.commit is None:
        return Environment(driver, worker, shown, python_path(peer))
    source, commit = _checked_out(peer.commit)
    return Environment(
        driver, worker, shown | {"howdah": f"{shown['howdah']} at {commit}"}, python_path(peer, source)
    )


def _checked_out(commit: str) -> tuple[Path, str]:
    """Unpack our own sources as they were at a commit; return their folder and the commit's short name."""
    asked = ["git", "rev-parse", "--short", f"{commit}^{{commit}}"]
    found = subprocess.run(asked, cwd=_ROOT, capture_output=True, text=True)
    if found.returncode:
        raise NotInstallable(f"there is no commit {commit}")
    short = found.stdout.strip()
    folder = CACHE / f"howdah-{short}"
    if not (folder / "src").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", short, "src"], cwd=_ROOT, check=True, capture_output=True)
        subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    return folder / "src", short
