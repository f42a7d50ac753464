"""Who this worker is: a new number at each registration."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from howdah import calls, sql
from howdah.errors import DatabaseUnavailable, SchemaOutdated
from howdah.worker.lease import Lease, since_boot
from howdah.worker.log import logger
from howdah.worker.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from howdah.worker.catalogue import Catalogue
    from howdah.worker.line import Line
    from howdah.worker.options import WorkerOptions

__all__ = ["Registration"]


class Registration:
    """Registers the worker; again when the database says that it was declared dead.

    `on_registered` is told each new number; the lease begins with it.
    """

    def __init__(
        self,
        line: Line,
        catalogue: Catalogue,
        options: WorkerOptions,
        allow: tuple[str, ...],
        on_registered: Callable[[int], None] | None = None,
        lease: Lease | None = None,
    ) -> None:
        self.worker_id: int = 0
        self._line = line
        self._catalogue = catalogue
        self._options = options
        self._allow = allow
        self._on_registered = on_registered
        self._lease = lease or Lease()
        self._lock = asyncio.Lock()

    async def register(self) -> None:
        """Register, however long the database is away.

        Raises `SchemaOutdated`, or another `HowdahError` that waiting does not cure.
        """
        waiting = Waiting()
        while True:
            try:
                if not self.worker_id and not sql.serves(await self._line.execute(calls.version())):
                    raise SchemaOutdated
                asked = since_boot()
                self.worker_id = await self._line.execute(self._call())
                self._lease.renew(asked, self._options.lease)
            except DatabaseUnavailable as error:
                if waiting.failures == 0:
                    logger.warning("waiting for PostgreSQL: %s", error.message)
                await asyncio.sleep(waiting.next())
            else:
                break
        if self._on_registered is not None:
            self._on_registered(self.worker_id)

    async def renew(self, unknown: int, forget: Callable[[], None]) -> None:
        """Register anew unless somebody already did; `forget` drops what belonged to the old number."""
        async with self._lock:
            if self.worker_id != unknown:
                return
            logger.warning("worker %s was declared dead: its runs belong to others now", unknown)
            forget()
            await self.register()
            logger.info("registered anew as worker %s", self.worker_id)

    async def leave(self) -> None:
        """Take the worker off; what is left of its runs goes back. Raises a `HowdahError`."""
        await self._line.execute(calls.worker_stopped(self.worker_id))

    def _call(self) -> calls.Call[int]:
        options = self._options
        return calls.worker_started(
            options.name or f"{socket.gethostname()}-{os.getpid()}",
            self._catalogue.descriptions(),
            queues=options.queues,
            topic=options.topic,
            allow=self._allow,
            host=socket.gethostname(),
            pid=os.getpid(),
            lease=options.lease,
            labels=options.labels,
        )
