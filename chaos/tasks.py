"""What the workers run: `howdah worker --app chaos.tasks:app`. Each writes down its start and its end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chaos.journal import Journal, contents
from howdah import Cancel, Context, Howdah, Retry, Snooze

if TYPE_CHECKING:
    from collections.abc import Iterator

app = Howdah()
journal = Journal.of_the_environment("run")

_EFFECT = "insert into chaos.effect (job, run, token) values ($1, $2, $3)"
_EFFECT_IN_THREAD = "insert into chaos.effect (job, run, token) values (%s, %s, %s)"
_BACKOFF = 0.2
# The worker, in the process that it has started for one run alone.
_WORKER = os.getppid() if "howdah.worker.isolated" in sys.orig_argv else None


class AsItShall(Exception):
    """A failure that was ordered."""


@contextmanager
def journalled(ctx: Context, *, in_thread: bool = False) -> Iterator[None]:
    """Write down the start and the end of a run."""
    job = ctx.job
    kwargs = job.body["kwargs"]
    journal.write(
        "start",
        job=job.id,
        run=job.run_id,
        attempt=job.attempt,
        task=job.task,
        token=kwargs["token"],
        in_thread=in_thread,
        worker=_WORKER,
        **contents(kwargs),
    )
    try:
        yield
    except BaseException as error:
        journal.write("end", run=job.run_id, how=type(error).__name__)
        raise
    journal.write("end", run=job.run_id, how="returned")


def rest(seconds: float, /) -> None:
    """Sleep in a thread. Not by `time.sleep`, which libfaketime breaks: EINVAL."""
    threading.Event().wait(seconds)


if "FAKETIME_TIMESTAMP_FILE" in os.environ:
    time.sleep = rest  # type: ignore[assignment]  # for those who cannot know, such as subprocess


def answer(ctx: Context, token: str) -> dict[str, Any]:
    """Return what a task returns: enough to see whose result was kept."""
    return {"token": token, "run": ctx.job.run_id}


@app.task(name="quick")
async def quick(ctx: Context, token: str, payload: Any = None) -> dict[str, Any]:
    """Do nothing."""
    with journalled(ctx):
        return answer(ctx, token)


@app.task(name="quick_in_thread")
def quick_in_thread(ctx: Context, token: str, payload: Any = None) -> dict[str, Any]:
    """Do nothing, in a thread."""
    with journalled(ctx, in_thread=True):
        return answer(ctx, token)


@app.task(name="naps", max_retries=3, backoff=_BACKOFF)
async def naps(ctx: Context, token: str, seconds: float) -> dict[str, Any]:
    """Take its time."""
    with journalled(ctx):
        ctx.log("napping for %s s", seconds)
        await asyncio.sleep(seconds)
        return answer(ctx, token)


@app.task(name="naps_in_thread", max_retries=3, backoff=_BACKOFF)
def naps_in_thread(ctx: Context, token: str, seconds: float) -> dict[str, Any]:
    """Take its time, in a thread."""
    with journalled(ctx, in_thread=True):
        rest(seconds)
        return answer(ctx, token)


@app.task(name="writes", max_retries=50, backoff=_BACKOFF)
async def writes(ctx: Context, token: str, seconds: float = 0, failures: int = 0) -> dict[str, Any]:
    """Write a row that must be there once if the job succeeds, and not at all if it does not."""
    return await _wrote(ctx, token, seconds, failures)


async def _wrote(ctx: Context, token: str, seconds: float, failures: int) -> dict[str, Any]:
    with journalled(ctx):
        await ctx.connection.execute(_EFFECT, ctx.job.id, ctx.job.run_id, token)
        await asyncio.sleep(seconds)
        if ctx.attempt <= failures:
            raise AsItShall
        return answer(ctx, token)


@app.task(name="writes_in_thread", max_retries=50, backoff=_BACKOFF)
def writes_in_thread(ctx: Context, token: str, seconds: float = 0, failures: int = 0) -> dict[str, Any]:
    """Do what `writes` does, in a thread."""
    return _written(ctx, token, seconds, failures, in_thread=_WORKER is None)


@app.task(name="writes_alone", isolation="process", max_retries=50, backoff=_BACKOFF)
def writes_alone(ctx: Context, token: str, seconds: float = 0, failures: int = 0) -> dict[str, Any]:
    """Do what `writes` does, in a process of its own."""
    return _written(ctx, token, seconds, failures, in_thread=False)


def _written(ctx: Context, token: str, seconds: float, failures: int, *, in_thread: bool) -> dict[str, Any]:
    with journalled(ctx, in_thread=in_thread):
        ctx.connection.execute(_EFFECT_IN_THREAD, (ctx.job.id, ctx.job.run_id, token))
        rest(seconds)
        if ctx.attempt <= failures:
            raise AsItShall
        return answer(ctx, token)


@app.task(name="writes_alone_async", isolation="process", max_retries=50, backoff=_BACKOFF)
async def writes_alone_async(
    ctx: Context, token: str, seconds: float = 0, failures: int = 0
) -> dict[str, Any]:
    """Do what `writes` does, in an event loop in a process of its own."""
    return await _wrote(ctx, token, seconds, failures)


@app.task(name="gathers", max_retries=50, backoff=_BACKOFF)
async def gathers(
    ctx: Context, *, token: str, batch: list[str], thing: int, seconds: float = 0, failures: int = 0
) -> dict[str, Any]:
    """Do what `writes` does, for a thing of which others may have said something since."""
    return await _wrote(ctx, token, seconds, failures)


@app.task(name="gathers_in_thread", max_retries=50, backoff=_BACKOFF)
def gathers_in_thread(
    ctx: Context, *, token: str, batch: list[str], thing: int, seconds: float = 0, failures: int = 0
) -> dict[str, Any]:
    """Do what `gathers` does, in a thread."""
    return _written(ctx, token, seconds, failures, in_thread=True)


@app.task(name="poisons", max_retries=50, backoff=_BACKOFF)
async def poisons(ctx: Context, token: str) -> None:
    """Kill the process in which it runs, whichever that is."""
    with journalled(ctx):
        os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="spawns", max_retries=50, backoff=_BACKOFF)
async def spawns(ctx: Context, token: str) -> dict[str, Any]:
    """Publish a child that exists if and only if this job succeeds."""
    with journalled(ctx):
        await quick.publish(token=f"{token}.child", connection=ctx.connection)
        return answer(ctx, token)


@app.task(name="fails", backoff=_BACKOFF)
async def fails(ctx: Context, token: str, failures: int) -> dict[str, Any]:
    """Fail so many times."""
    with journalled(ctx):
        if ctx.attempt <= failures:
            raise AsItShall
        return answer(ctx, token)


@app.task(name="asks_again", max_retries=1)
async def asks_again(ctx: Context, token: str) -> dict[str, Any] | Retry:
    """Ask for a retry the first time."""
    with journalled(ctx):
        return Retry(delay=0.1) if ctx.attempt == 1 else answer(ctx, token)


@app.task(name="snoozes", max_retries=0)
async def snoozes(ctx: Context, token: str) -> dict[str, Any] | Snooze:
    """Put itself off twice out of three times."""
    with journalled(ctx):
        return Snooze(0.1) if ctx.job.run_id % 3 else answer(ctx, token)


@app.task(name="withdraws")
async def withdraws(ctx: Context, token: str) -> Cancel:
    """Cancel itself."""
    with journalled(ctx):
        return Cancel("as it shall")


@app.task(name="overruns", timeout=0.4, max_retries=1, backoff=_BACKOFF)
async def overruns(ctx: Context, token: str) -> None:
    """Take longer than it may."""
    with journalled(ctx):
        await asyncio.sleep(60)


@app.task(name="overruns_in_thread", timeout=0.4, max_retries=1, backoff=_BACKOFF)
def overruns_in_thread(ctx: Context, token: str) -> None:
    """Take longer than it may, where nobody can stop it; long enough for a late machine to see that."""
    with journalled(ctx, in_thread=True):
        rest(2.5)
