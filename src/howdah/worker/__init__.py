"""The worker: claims jobs, runs them, hands in what became of them.

* ``worker``       starts and ends the services below, in order
* ``pipeline``     hands in and claims, two exchanges under way
* ``demand``       how many to claim (pure)
* ``runner``       runs what was claimed, as many at once as there are slots
* ``catalogue``    finds what runs a job
* ``outcomes``     what became of a run, as the database takes it (pure)
* ``heartbeat``    keeps the lease, from a thread of its own
* ``doorbell``     wakes the worker when a job is published
* ``naps``         how long a worker that found nothing waits: pure
* ``housekeeping`` calls `maintain()`
* ``registration`` who the worker is
* ``lifespan``     the app's resources, for as long as the process lives
* ``surroundings`` what the context of a run reaches through to: ``transaction``, ``joblog``
* ``reload``       notices changed sources
* ``signals``      SIGTERM and SIGINT
* ``processes``    several worker processes and the parent that looks after them; ``child`` is one of them
"""

from howdah.worker.options import WorkerOptions
from howdah.worker.processes import Supervisor
from howdah.worker.worker import Worker

__all__ = ["Supervisor", "Worker", "WorkerOptions"]
