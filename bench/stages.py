"""Make the peers ready: environments, servers, schemas. Who cannot be made ready is reported, not hidden."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bench import environments
from bench.peers import load_peer
from bench.processes import CommandFailed
from bench.stands import Stand
from bench.stores import NoRedis, Redis

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from bench.peers import Peer
    from bench.stores import Postgres

__all__ = ["prepare_stands"]


def prepare_stands(
    names: Sequence[str], postgres: Postgres, stack: ExitStack, failures: list[str], *, renew: bool
) -> list[Stand]:
    """Return the peers that can be measured; `stack` ends what was started for them."""
    servers: dict[str, Redis] = {}
    stands = []
    for peer in map(load_peer, names):
        try:
            store = postgres if peer.store == "postgres" else _redis(servers, stack)
            stands.append(_stand(peer, store, renew=renew))
            if note := stands[-1].environment.note:
                failures.append(f"{peer.title}: {note}")
        except (environments.NotInstallable, NoRedis, CommandFailed) as reason:
            failures.append(f"{peer.title} is not measured: {reason}")
            print(failures[-1], file=sys.stderr, flush=True)
    return stands


def _stand(peer: Peer, store: Postgres | Redis, *, renew: bool) -> Stand:
    stand = Stand(peer, environments.prepare(peer, renew=renew), store)
    stand.make_template()
    return stand


def _redis(servers: dict[str, Redis], stack: ExitStack) -> Redis:
    if "redis" not in servers:
        servers["redis"] = stack.enter_context(Redis.start())
    return servers["redis"]
