"""What unique keys mean, in plain Python: who holds one, and what a publish does that meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.model.vocabulary import FINISHED, WAITING, Job, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tests.model.reference import Reference

OPTIONS = ("unique_key", "unique_mode", "unique_until", "unique_for")
Answer = tuple[int, str | None, bool]


class Holder(NamedTuple):
    """The job that has taken a key, and until when it holds it."""

    id: int
    until: str
    expires_at: datetime | None


class Keys:
    """The unique keys of a model's jobs."""

    def __init__(self, model: Reference) -> None:
        self.model = model
        self.holders: dict[str, Holder] = {}

    def held(self, holder: Holder | None, *, by_time: bool = True) -> bool:
        """Return whether a job still holds its key: by its state, or for some time."""
        if holder is None:
            return False
        if by_time and holder.expires_at is not None and holder.expires_at > self.model.now:
            return True
        job = self.model.jobs.get(holder.id)
        if job is None or job.state in FINISHED:
            return False
        if holder.until == "finished":
            return True
        return job.state in WAITING and (holder.until == "waiting" or job.attempt == 0)

    def publish(self, options: dict[str, Any], number: int) -> Answer:
        """Publish a job under a unique key."""
        key, mode = options["unique_key"], options.get("unique_mode") or "skip"
        until = options.get("unique_until") or ("waiting" if mode in ("replace", "merge") else "finished")
        duration = options.get("unique_for") or 0
        if mode in ("replace", "merge") and (until == "finished" or duration > 0):
            raise Refused("JB001")
        if mode == "merge" and not isinstance(options.get("body"), list):
            raise Refused("JB001")
        given = {name: value for name, value in options.items() if name not in OPTIONS}
        holder = self.holders.get(key)
        if holder is None or not self.held(holder):
            expires_at = self.model.after(duration) if duration > 0 else None
            self.holders[key] = Holder(number, until, expires_at)
            self.model.add({**given, "unique": (key, until)}, number)
            return number, self.model.jobs[number].state, True
        return self._meet(holder, mode, given)

    def _meet(self, holder: Holder, mode: str, given: dict[str, Any]) -> Answer:
        job = self.model.jobs.get(holder.id)
        if mode in ("replace", "merge"):
            changeable = job is not None and job.state in WAITING
            if not changeable or (holder.until == "started" and job is not None and job.attempt > 0):
                raise Refused("JB009")
            assert job is not None
            (self._replace if mode == "replace" else self._merge)(job, given)
        elif mode == "reject":
            raise Refused("JB009")
        return holder.id, None if job is None else job.state, False

    def _merge(self, job: Job, given: Mapping[str, Any]) -> None:
        if not isinstance(job.options.get("body"), list):
            raise Refused("JB001")
        job.options = {**job.options, "body": job.options["body"] + given["body"]}

    def _replace(self, job: Job, given: dict[str, Any]) -> None:
        model = self.model

        def place(job: Job) -> list[Any]:
            return [job.task, *(job.options.get(name) for name in ("queue", "priority", "concurrency_key"))]

        before = place(job)
        kept = {name: value for name, value in job.options.items() if name in ("key", "unique")}
        task = str(given.pop("task"))
        registered = model.tasks.get(task, {})
        job.options = {**{n: v for n, v in registered.items() if given.get(n) is None}, **given, **kept}
        job.expires_at = model.after(job.options["ttl"]) if job.options.get("ttl") is not None else None
        parked = job.kind if job.state == "blocked" else None
        same_task, job.task = job.task == task, task
        if parked is not None and (parked == "alone" or (parked == "task" and same_task)):
            return
        delay = given.get("delay") or 0
        after = place(job)
        if delay > 0:
            model.make_scheduled(job, job.attempt, model.after(delay))
        elif job.state != "ready" or before != after:
            model.make_ready(job, job.attempt)

    def take_again(self, job: Job) -> None:
        """Give a finished job that is retried its key, unless another job holds it."""
        key, until = job.options.get("unique") or (None, "")
        if key is None:
            return
        holder = self.holders.get(key)
        if holder is not None and holder.id != job.id and self.held(holder, by_time=False):
            raise Refused("JB009")
        self.holders[key] = Holder(job.id, until, None if holder is None else holder.expires_at)

    def free(self, job: Job) -> None:
        """Take the key from a job that is deleted by hand."""
        self.holders = {key: holder for key, holder in self.holders.items() if holder.id != job.id}
