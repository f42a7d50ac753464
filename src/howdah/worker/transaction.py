"""The transaction of a run: opened when its task first asks for it, ended with the run.

What the task wrote and `jobs.ack` are committed together. The ack is fenced by the run id, so a run that has
lost its lease commits nothing; and when it is not known whether a commit happened, the database is asked.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from howdah import calls
from howdah.drivers.transactions import ASYNC_FORMS
from howdah.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    HowdahError,
    InvalidInput,
    JobNotFound,
    LeaseLost,
)
from howdah.json import Document
from howdah.worker import outcomes
from howdah.worker.log import logger
from howdah.worker.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.drivers.pool import Pool
    from howdah.drivers.transactions import Connections
    from howdah.models import ClaimedJob, Outcome

__all__ = ["RunTransaction", "may_be_committed"]

# Seconds for which the database is asked whether a commit happened, while it is away.
_ASKING = 30.0
# The server's own answers to COMMIT mean that it did not happen; these mean that the line broke.
_LINE_BROKE = ("08", "57P")


class RunTransaction:
    """At most one transaction, of the form that is asked for first."""

    def __init__(self, job: ClaimedJob, connections: Connections, asking: Pool) -> None:
        self._job = job
        self._connections = connections
        self._asking = asking
        self.committed: bool = False
        self._form: str | None = None
        self._open: Any = None
        self._opening = asyncio.Lock()
        # Guards what the thread of a task and the event loop may do at the same time.
        self._guard = threading.Lock()
        self._ended = False
        self._in_thread = False

    # ── While the task runs ──

    async def open(self, form: str) -> Any:
        """Return the transaction, in the event loop. Raises a `HowdahError`."""
        async with self._opening:
            self._claim(form)
            if self._open is None:
                self._open = await self._connections.begin(form)
            return self._open

    def open_in_thread(self, form: str) -> Any:
        """Return the transaction, in the task's thread. Raises a `HowdahError`."""
        self._claim(form)
        if self._open is None:
            opened = self._connections.begin_in_thread(form)
            with self._guard:
                self._open = opened
                ended = self._ended
            if ended:  # meanwhile
                opened.hang_up()
                self._connections.end_turn(opened)
                self._claim(form)
        return self._open

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function, in its thread: while it runs, nobody else touches its connection."""
        self._in_thread = True
        try:
            return function(*args, **kwargs)
        finally:
            with self._guard:
                self._in_thread = False
                late = self._ended and self._open is not None
            if late:
                self._open.drop()

    def _claim(self, form: str) -> None:
        if self._ended:
            raise LeaseLost("this run has ended: its transaction is rolled back")
        if self._form is None:
            self._form = form
        elif self._form != form:
            raise ConfigurationError(f"this run has a transaction already, of the form {self._form!r}")

    # ── When it has ended ──

    async def commit(self, outcome: Outcome) -> Outcome | None:
        """Record a success and commit; return what is left to hand in.

        None when there is nothing: it is `committed`, or the lease was lost.
        """
        try:
            await self._do("execute", self._ack(outcome))
        except (LeaseLost, JobNotFound):
            logger.warning("job %s: its lease was lost, what it wrote is rolled back", self._job.job_id)
            return None
        except InvalidInput as error:
            return outcomes.unstorable(outcome, error.message)
        except HowdahError as error:
            return self._failed(error)
        try:
            await self._do("commit")
        except HowdahError as error:
            if not may_be_committed(error):
                return self._failed(error)
            logger.warning("job %s: the line broke at its commit", self._job.job_id)
            if not await self._was_committed():
                # Should it be committed after all, the run is over, and the database refuses this.
                return self._failed(error)
        self.committed = True
        return None

    async def end(self) -> None:
        """Let go: roll back what was not committed."""
        with self._guard:
            self._ended = True
            opened, late = self._open, self._in_thread
        if opened is None:
            return
        if late:
            # Its thread goes on with it; the server shall not wait for that.
            opened.hang_up()
            self._connections.end_turn(opened)
        elif self._form in ASYNC_FORMS:
            await self._connections.give_back(str(self._form), opened)
        else:
            await asyncio.to_thread(self._connections.give_back_in_thread, str(self._form), opened)

    @property
    def used(self) -> bool:
        """Whether the task has opened it."""
        return self._open is not None

    async def _do(self, verb: str, *arguments: Any) -> Any:
        method = getattr(self._open, verb)
        if self._form in ASYNC_FORMS:
            return await method(*arguments)
        return await asyncio.to_thread(method, *arguments)

    def _ack(self, outcome: Outcome) -> calls.Call[Any]:
        text = bytes(outcome[3]).decode()
        result = None if text == "null" else Document(text)
        return calls.ack(str(self._job.id), result, run_id=self._job.run_id)

    def _failed(self, error: HowdahError) -> Outcome:
        return outcomes.failed(self._job, "error", f"its transaction was not committed: {error.message}")

    async def _was_committed(self) -> bool:
        waiting = Waiting()
        try:
            async with asyncio.timeout(_ASKING):
                while True:
                    try:
                        row = await self._asking.execute(calls.get(str(self._job.id)))
                    except DatabaseUnavailable:
                        await asyncio.sleep(waiting.next())
                    else:
                        return row is not None and row.finished and row.run_id == self._job.run_id
        except (HowdahError, TimeoutError) as error:
            # A worker's role need not be allowed to look at jobs.
            logger.debug("job %s: cannot see whether it was committed: %s", self._job.job_id, error)
            return False


def may_be_committed(error: HowdahError) -> bool:
    """Tell whether a COMMIT that failed so may have happened all the same.

    >>> may_be_committed(DatabaseUnavailable("the line broke"))
    True
    >>> may_be_committed(DatabaseUnavailable("no two agree", sqlstate="40001"))
    False
    """
    return error.sqlstate is None or error.sqlstate.startswith(_LINE_BROKE)
