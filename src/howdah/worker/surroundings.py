"""What the contexts of a worker's runs reach through to: resources, transactions, the job's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from howdah.errors import LeaseLost
from howdah.worker.isolation import IsolatedTasks
from howdah.worker.joblog import JobLog
from howdah.worker.transaction import RunTransaction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from howdah.calls import Call
    from howdah.drivers.pool import Pool
    from howdah.drivers.transactions import Connections
    from howdah.executors.process import ProcessPool
    from howdah.models import ClaimedJob, Outcome
    from howdah.worker.joblog import RunLog

__all__ = ["Backing", "RunSurroundings", "WorkerBacking"]

T = TypeVar("T")


class Backing:
    """What all runs of a worker share."""

    def __init__(self, connections: Connections, pool: Pool, resources: Mapping[str, Any]) -> None:
        self.connections = connections
        self.pool = pool
        self.resources = resources
        self.log: JobLog = JobLog(pool)

    async def close(self) -> None:
        """Close the connections that nobody uses."""
        self.connections.close()
        await self.pool.close()


class WorkerBacking(Backing):
    """The same in a worker, which has processes for isolated tasks, too."""

    def __init__(
        self,
        connections: Connections,
        pool: Pool,
        resources: Mapping[str, Any],
        processes: ProcessPool,
    ) -> None:
        super().__init__(connections, pool, resources)
        self.isolated: IsolatedTasks = IsolatedTasks(processes, self.log, pool)

    async def close(self) -> None:
        """End the processes, and close the connections that nobody uses."""
        await self.isolated.processes.close()
        await super().close()


class RunSurroundings:
    """What one run has opened so far; most runs open nothing."""

    __slots__ = ("_backing", "_job", "_log", "_over", "_recorded", "_transaction")

    def __init__(self, backing: Backing, job: ClaimedJob) -> None:
        self._backing = backing
        self._job = job
        self._log: RunLog | None = None
        self._transaction: RunTransaction | None = None
        self._over = False
        self._recorded = False

    @property
    def over(self) -> bool:
        """Whether the run has ended: what its task does now counts for nothing."""
        return self._over

    @property
    def transaction(self) -> RunTransaction:
        """The run's transaction, which need not have begun. Raises `LeaseLost` when the run has ended."""
        if self._transaction is None:
            if self._over:
                raise LeaseLost("this run has ended")
            self._transaction = RunTransaction(self._job, self._backing.connections, self._backing.pool)
        return self._transaction

    @property
    def resources(self) -> Mapping[str, Any]:
        """What the app's lifespan yielded."""
        return self._backing.resources

    async def open(self, form: str) -> Any:
        """Return the connection of the run's transaction, in the event loop."""
        return (await self.transaction.open(form)).connection

    def open_in_thread(self, form: str) -> Any:
        """Return the connection of the run's transaction, in a thread."""
        return self.transaction.open_in_thread(form).connection

    async def execute(self, call: Call[T]) -> T:
        """Execute a call in the run's transaction on asyncpg."""
        value: T = await (await self.transaction.open("asyncpg")).execute(call)
        return value

    def write(self, level: int, message: str) -> None:
        """Keep a line with the job."""
        if self._over:
            return  # a thread that goes on: the database takes no more lines
        if self._log is None:
            self._log = self._backing.log.open(self._job)
        self._log.write(level, message)

    def close(self) -> bool:
        """Open nothing from now on; return whether something was."""
        self._over = True
        return self._log is not None or self._transaction is not None or self._recorded

    async def store_log(self) -> None:
        """Store the lines that are left; the next line would come too late."""
        if self._log is not None:
            await self._backing.log.end(self._log)

    async def commit(self, outcome: Outcome) -> Outcome | None:
        """Commit a success together with what the task wrote, if it did; return what is left to hand in."""
        if self._recorded:
            return None
        if self._transaction is None or not self._transaction.used:
            return outcome
        return await self._transaction.commit(outcome)

    @property
    def committed(self) -> bool:
        """Whether the run is recorded as finished already."""
        return self._recorded or (self._transaction is not None and self._transaction.committed)

    def recorded(self) -> None:
        """Take notice that the task's own process has recorded its success, with what it wrote."""
        self._recorded = True

    async def end(self) -> None:
        """Roll back what was not committed."""
        if self._transaction is not None:
            await self._transaction.end()
