"""An npm folder with a Node of its own and the newest release of a peer."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from bench.environments.base import Environment, NotInstallable, install, run
from bench.peers import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.peers import Peer

__all__ = ["prepare"]

# The newest with long-term support: some peers need a newer one than a distribution has.
_NODE = "node@24"


def prepare(peer: Peer, *, renew: bool = False) -> Environment:
    """Install a peer. Raises NotInstallable."""
    if shutil.which("npm") is None:
        raise NotInstallable("needs npm, which is not installed")
    folder, note = install(peer, renew, _make)
    # A module finds its packages beside itself only.
    for module in (PROTOCOL / "driver.mjs", peer.driver):
        shutil.copy(module, folder)
    driver = (_program(folder), str(folder / peer.driver.name))
    return Environment(driver, (*driver, "worker"), _versions(folder, peer), peer.variables, note)


def _make(folder: Path, packages: Sequence[str]) -> None:
    (folder / "package.json").write_text('{"private": true}', "utf-8")
    npm = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
    run([*npm, _NODE], folder)
    # npm chooses releases for the Node that runs it, so the newest is asked for by name.
    run([*npm, *(name if "@" in name[1:] else f"{name}@latest" for name in packages)], folder)


def _program(folder: Path) -> str:
    own = folder / "node_modules" / "node" / "bin" / "node"
    return str(own) if own.is_file() else "node"


def _versions(folder: Path, peer: Peer) -> dict[str, str]:
    packages = {name: folder / "node_modules" / name / "package.json" for name in peer.shown}
    return {
        name: json.loads(path.read_text("utf-8"))["version"]
        for name, path in packages.items()
        if path.is_file()
    }
