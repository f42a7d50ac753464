"""A venv with the newest release of a peer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.environments.base import Environment, NotInstallable, install, python_path, run
from bench.peers import Peer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["plotting", "prepare", "versions"]

_REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
# Minor versions of Python that are looked for beyond the oldest that a peer runs on.
_NEWER = 4


def prepare(peer: Peer, *, renew: bool = False) -> Environment:
    """Install a peer. Raises NotInstallable."""

    def make(folder: Path, packages: Sequence[str]) -> None:
        run([_interpreter(peer), "-m", "venv", str(folder)])
        pip = [str(_python(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, *packages])

    folder, note = install(peer, renew, make)
    driver = (str(_python(folder)), str(peer.driver))
    worker: tuple[str, ...] = (*driver, "worker")
    if peer.worker:
        worker = (str(folder / "bin" / peer.worker[0]), *peer.worker[1:])
    return Environment(driver, worker, versions(_python(folder), peer), python_path(peer), note)


def plotting() -> tuple[str, ...]:
    """Return the command that draws plots, in an environment with what it takes. Raises NotInstallable."""
    lines = _REQUIREMENTS.read_text("utf-8").splitlines()
    packages = tuple(line for line in lines if line and not line.startswith("#"))
    plots = Peer(name="plots", title="plots", runtime="python", configuration="", packages=packages)
    return (prepare(plots).driver[0], str(_REQUIREMENTS.parent / "report" / "plots.py"))


def versions(python: Path, peer: Peer) -> dict[str, str]:
    """Return the versions of what a peer wants shown, and of Python."""
    code = (
        "import json, platform, sys; from importlib.metadata import version;"
        "found = {name: version(name) for name in sys.argv[1:]};"
        "print(json.dumps(found | {'python': platform.python_version()}))"
    )
    done = subprocess.run([python, "-c", code, *peer.shown], check=True, capture_output=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _interpreter(peer: Peer) -> str:
    """Find a Python that is new enough; the one that runs us goes first."""
    least = tuple(int(part) for part in peer.python.split("."))
    if sys.version_info >= least:
        return sys.executable
    names = [f"python3.{minor}" for minor in range(least[1], least[1] + _NEWER)]
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    elsewhere = (path for name in names for path in sorted(installed.glob(f"*/bin/{name}")))
    places = [*names, *map(str, elsewhere)]
    found = next((place for place in places if shutil.which(place) and _runs(place)), None)
    if found is None:
        raise NotInstallable(f"needs Python {peer.python} or newer, none is installed")
    return found


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0
