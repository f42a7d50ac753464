"""An environment for each peer: a venv or an npm folder of its own, outside the project's.

* ``base``    where they lie, how something is installed, what a driver needs to run
* ``ours``    Howdah as it lies here, or as it was at a commit
* ``python``, ``node``   the peers
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.environments import node, ours, python
from bench.environments.base import Environment, NotInstallable

if TYPE_CHECKING:
    from bench.peers import Peer

__all__ = ["Environment", "NotInstallable", "prepare"]

_RUNTIMES = {"ours": ours.prepare, "python": python.prepare, "node": node.prepare}


def prepare(peer: Peer, *, renew: bool = False) -> Environment:
    """Install a peer unless it already is, or anew. Raises NotInstallable, in one line."""
    return _RUNTIMES[peer.runtime](peer, renew=renew)
