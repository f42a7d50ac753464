"""A small process that removes a temporary server when its owner died without a word."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from howdah.embedded.account import environment

if TYPE_CHECKING:
    from howdah.embedded.cluster import Cluster

# Ends when the pipe does. The rounds are bounded: a dead process keeps its pid until somebody reaps it.
# Removing fails while an orphaned `initdb` still writes; it ends at its next word to the closed pipe.
_SCRIPT = """
read -r word
if [ "$word" = done ]; then exit 0; fi
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
    kill -QUIT "$pid"
    rounds=0
    while [ -e "$1/data/postmaster.pid" ] && kill -0 "$pid" 2>/dev/null && [ $rounds -lt 100 ]; do
        sleep 0.05
        rounds=$((rounds + 1))
    done
fi
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
"""


class Guardian:
    """Watches over one temporary server from a process of its own."""

    def __init__(self, cluster: Cluster) -> None:
        account = cluster.account
        self._process = subprocess.Popen(  # noqa: S603 (a fixed script)
            ["/bin/sh", "-c", _SCRIPT, "sh", cluster.home],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=environment(),
            start_new_session=True,
            user=account.uid if account.other else None,
            group=account.gid if account.other else None,
            extra_groups=[] if account.other else None,
        )

    def dismiss(self) -> None:
        """End the watch: the owner cleans up itself."""
        self._process.communicate(b"done\n")

    def abandon(self) -> None:
        """Close our end of the pipe in a forked child, so that only the owner's death ends it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
