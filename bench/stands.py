"""A peer ready to be measured: its environment, its database template, the commands of its driver."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import progress
from bench.processes import PATIENCE, processor_seconds, running
from bench.stores import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.environments import Environment
    from bench.peers import Peer
    from bench.processes import Running
    from bench.rates import Sample
    from bench.stores import Redis

__all__ = ["Place", "Stand"]


@dataclass(frozen=True, slots=True)
class Stand:
    """A peer, how it is run, and the server its databases are made on."""

    peer: Peer
    environment: Environment
    store: Postgres | Redis

    @property
    def postgres(self) -> Postgres:
        """The store of a peer that is on PostgreSQL."""
        if not isinstance(self.store, Postgres):
            raise TypeError(f"{self.peer.title} is not on PostgreSQL")
        return self.store

    def make_template(self) -> None:
        """Set the peer's schema up once."""
        self.store.make_template(self.peer.name, lambda dsn: Place(self, dsn, {}).figure("setup"))

    @contextmanager
    def place(self, **variables: str) -> Iterator[Place]:
        """Give the peer an empty store of its own; its processes get the variables."""
        with self.store.place(self.peer.name) as dsn:
            self.store.checkpoint()
            yield Place(self, dsn, variables)

    def jobs(self, jobs: int) -> int:
        """Return how many jobs this peer gets where the fast ones get so many."""
        return max(1000, int(jobs * self.peer.scale))


@dataclass(frozen=True, slots=True)
class Place:
    """One empty store of a peer, and the peer's commands on it."""

    stand: Stand
    dsn: str
    variables: Mapping[str, str]

    def figure(self, *command: object, patience: float = PATIENCE) -> dict[str, float]:
        """Run a command of the driver and return its figure."""
        with self.command(*command) as process:
            return process.figure(patience)

    def rate(self, *command: object) -> float:
        """Run a command of the driver and return jobs per second."""
        figure = self.figure(*command)
        return figure["jobs"] / figure["seconds"]

    @contextmanager
    def command(self, *command: object) -> Iterator[Running]:
        """Run a command of the driver beside the block."""
        whole = (*self.stand.environment.driver, *map(str, command))
        with running(whole, self._environment()) as process:
            yield process

    @contextmanager
    def workers(self, number: int = 1) -> Iterator[list[Running]]:
        """Run worker processes until the end of the block."""
        command = self.stand.environment.worker
        with ExitStack() as stack:
            yield [stack.enter_context(running(command, self._environment())) for _ in range(number)]

    def watch(
        self,
        workers: Sequence[Running],
        low: int,
        high: int,
        enough: int | None = None,
        share: float = progress.SHARE,
    ) -> list[Sample]:
        """Look at the jobs after the low-th up to the high-th until `enough`, by default all, are done."""

        def check() -> None:
            for worker in workers:
                worker.check()

        with self.stand.store.counter(self.dsn, self.stand.peer, low, high) as count:
            return progress.look(count, enough or high - low, check, share, lambda: self._used(workers))

    def settle(self) -> None:
        """Give the store good statistics and write what is dirty."""
        self.stand.store.settle(self.dsn)

    def _used(self, workers: Sequence[Running]) -> tuple[float, float]:
        ours = sum(processor_seconds(worker.process.pid) for worker in workers)
        return ours, processor_seconds(self.stand.store.process)

    def _environment(self) -> dict[str, str]:
        given = {"BENCH_DSN": self.dsn, "HOWDAH_DSN": self.dsn}
        return {**self.stand.environment.variables, **given, **self.variables}
