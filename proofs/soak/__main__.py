"""Worker processes under load for many minutes: `python -m proofs.soak --minutes 30 --rate 1000`.

Writes docs/reliability/soak.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from chaos.server import children
from proofs.ground import ground, violations
from proofs.pages import SOAK
from proofs.soak.client import FILL
from proofs.soak.page import Soak, soak_page
from proofs.soak.samples import SESSIONS, Sample, look
from proofs.soak.tasks import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVERY = 10.0
_PATIENCE = 90.0
_FIRST_LOAD = 10.0
# A quiet moment: what the pools let go of when nobody uses it is gone, and no chore is under way.
_QUIET = 6.0
_UNFINISHED = "select count(*) from jobs.all where state in ('ready', 'running', 'scheduled')"
_LEFT = {
    "sessions": SESSIONS,
    "advisory locks": "select count(*) from pg_locks where locktype = 'advisory'",
    "registered workers": "select count(*) from howdah.worker",
    "running jobs": "select count(*) from howdah.running",
}


def main() -> int:
    """Soak; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m proofs.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=1000.0, help="jobs published per second")
    parser.add_argument("--processes", type=int, default=2, help="worker processes")
    parser.add_argument("--warm-up", type=float, default=5.0, help="minutes after which memory is compared")
    parser.add_argument("--page", type=Path, default=SOAK)
    options = parser.parse_args()
    with ground() as servers, tempfile.TemporaryDirectory() as folder:
        soaked = _Soaking(servers.database(), Path(folder), options).run()
    options.page.write_text(soak_page(soaked), "utf-8")
    sys.stdout.write("\n".join([*soaked.problems(), f"{len(soaked.problems())} problems"]) + "\n")
    return 1 if soaked.problems() else 0


class _Soaking:
    def __init__(self, dsn: str, folder: Path, options: argparse.Namespace) -> None:
        self._dsn = dsn
        self._folder = folder
        self._options = options
        self._published = 0

    def run(self) -> Soak:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("create table soak_effect (n bigint primary key)")
            with self._client() as client, self._workers() as workers:
                pids = self._pids(client, workers)
                self._tell(client, FILL)
                self._load(client, self._options.rate, _FIRST_LOAD, connection, pids)
                before = self._quiet(client, connection, pids)
                first, began = self._published, time.monotonic()
                samples = self._load(client, self._options.rate, self._options.minutes * 60, connection, pids)
                seconds = time.monotonic() - began
                after = self._quiet(client, connection, pids)
                done = self._published - first
            left = {name: self._number(connection, query) for name, query in _LEFT.items()}
        found = [" ".join(map(str, row)) for row in violations(self._dsn)]
        return Soak(
            minutes=self._options.minutes,
            rate=self._options.rate,
            warm_up=min(self._options.warm_up, self._options.minutes * 0.4),
            jobs=done,
            seconds=seconds,
            before=before,
            after=after,
            samples=samples,
            left=left,
            violations=found,
        )

    def _load(
        self,
        client: subprocess.Popen[str],
        rate: float,
        seconds: float,
        connection: psycopg.Connection[Any],
        pids: dict[str, int],
    ) -> list[Sample]:
        """Let the client publish for so long; return the samples."""
        self._tell(client, rate)
        began = time.monotonic()
        samples = []
        while (now := time.monotonic() - began) < seconds:
            time.sleep(min(_EVERY, seconds - now))
            samples.append(look(connection, pids, self._folder, time.monotonic() - began))
            sys.stderr.write(f"{samples[-1].seconds:.0f} s, {samples[-1].connections} connections\n")
        return samples

    def _quiet(
        self, client: subprocess.Popen[str], connection: psycopg.Connection[Any], pids: dict[str, int]
    ) -> Sample:
        """Publish nothing, wait until nothing is left to do, and look."""
        self._tell(client, 0)
        deadline = time.monotonic() + _PATIENCE
        while self._number(connection, _UNFINISHED):
            if time.monotonic() > deadline:
                raise TimeoutError("jobs are left that nobody runs")
            time.sleep(0.2)
        time.sleep(_QUIET)
        return look(connection, pids, self._folder, 0)

    def _tell(self, client: subprocess.Popen[str], word: object) -> None:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(f"{word}\n")
        client.stdin.flush()
        self._published = int(client.stdout.readline())

    @contextmanager
    def _client(self) -> Iterator[subprocess.Popen[str]]:
        process = self._started("proofs.soak.client", pipe=True)
        try:
            yield process
        finally:
            process.communicate(timeout=30)

    @contextmanager
    def _workers(self) -> Iterator[subprocess.Popen[str]]:
        number = str(self._options.processes)
        process = self._started("howdah", "worker", "--app", "proofs.soak.tasks:app", "--processes", number)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)

    def _started(self, module: str, *arguments: str, pipe: bool = False) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, "HOWDAH_DSN": self._dsn, FOLDER: str(self._folder)},
            stdin=subprocess.PIPE if pipe else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe else subprocess.DEVNULL,
            stderr=None if pipe else (self._folder / "worker.log").open("wb"),
            text=True,
        )

    def _pids(self, client: subprocess.Popen[str], workers: subprocess.Popen[str]) -> dict[str, int]:
        """Return the processes by name, once all workers work."""
        deadline = time.monotonic() + _PATIENCE
        while len(list(self._folder.glob("worker-*"))) < self._options.processes:
            if time.monotonic() > deadline:
                raise TimeoutError((self._folder / "worker.log").read_text()[-2000:])
            time.sleep(0.1)
        telling = {int(path.name.split("-")[1]) for path in self._folder.glob("worker-*")}
        found = sorted(pid for pid in children(workers.pid) if pid in telling) or sorted(telling)
        names = {f"worker {number}": pid for number, pid in enumerate(found, 1)}
        return {"client": client.pid, "parent": workers.pid, **names}

    def _number(self, connection: psycopg.Connection[Any], query: str) -> int:
        row = connection.execute(query.encode()).fetchone()
        return int(row[0]) if row else 0


if __name__ == "__main__":
    sys.exit(main())
