"""Tasks for processes of their own: those must be able to import them."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from howdah import Cancel, Context, Howdah, Retry, RunInterrupted, Snooze, TimedOut
from howdah.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = Howdah(settings=Settings())


@app.lifespan
async def resources() -> AsyncIterator[dict[str, Any]]:
    """Make something whose owner can be told."""
    yield {"owner": os.getpid()}


@app.task(isolation="process")
def add(one: int, other: int) -> dict[str, int]:
    """Return the sum, and who made it."""
    return {"sum": one + other, "pid": os.getpid()}


@app.task(isolation="process")
async def add_later(one: int, other: int) -> dict[str, int]:
    """Do the same in an event loop."""
    await asyncio.sleep(0)
    return {"sum": one + other, "pid": os.getpid()}


@app.task(isolation="process", max_retries=0)
def end_as(how: str) -> Any:
    """Return what is no result, or raise."""
    match how:
        case "retry":
            return Retry(reason="not yet")
        case "snooze":
            return Snooze(3600)
        case "cancel":
            return Cancel("withdrawn")
        case "unstorable":
            return object()
        case "exit":
            sys.exit(3)
    raise ValueError("out of tea")


@app.task(isolation="process", max_retries=0)
def die(how: str) -> None:
    """End the process in the middle of the run."""
    sys.stdout.write("last words")
    sys.stdout.flush()
    match how:
        case "exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "as a shell says it":
            os._exit(137)


@app.task(isolation="process")
def talk() -> None:
    """Write to every channel."""
    sys.stdout.write("to stdout\n")
    sys.stderr.write("to stderr\n")
    os.write(1, b"from below \xff\n")
    subprocess.run(["/bin/echo", "from a program"], check=True)
    sys.stdout.write("without an end")


@app.task(isolation="process")
def chatter() -> None:
    """Write more than is kept."""
    for number in range(5000):
        sys.stdout.write(f"{number}\n")


@app.task(isolation="process")
def look(ctx: Context) -> dict[str, Any]:
    """Use the context."""
    ctx.log("attempt %s of %s", ctx.attempt, ctx.job.task, level="warning")
    return {"owner": ctx.resources["owner"], "pid": os.getpid(), "cancelled": ctx.cancelled}


@app.task(isolation="process", max_retries=0)
def write(ctx: Context, number: int, fail: bool = False) -> str:
    """Write in the run's transaction."""
    ctx.connection.execute("insert into written values (%s)", [number])
    if fail:
        raise ValueError("not this time")
    return "written"


@app.task(isolation="process", max_retries=0)
async def write_later(ctx: Context, number: int) -> str:
    """Write in the run's transaction, from an event loop."""
    await ctx.connection.execute("insert into written values ($1)", number)
    return "written"


@app.task(isolation="process")
def publish_more(number: int) -> str:
    """Publish another job, where this one came from."""
    return add.publish_sync(number, 1).job_id


@app.task(isolation="process", timeout=600, max_retries=0)
def sleep(ctx: Context, seconds: float) -> str:
    """Wait in one long call of the system."""
    ctx.log("process %s", os.getpid())
    try:
        time.sleep(seconds)
    except RunInterrupted as error:
        ctx.log("interrupted: %s", error.message)
        raise
    return "slept"


@app.task(isolation="process", timeout=600, max_retries=0)
async def sleep_later(ctx: Context, seconds: float) -> str:
    """Wait in an event loop."""
    ctx.log("process %s", os.getpid())
    await asyncio.sleep(seconds)
    return "slept"


@app.task(isolation="process", timeout=600, max_retries=0)
def stubborn(ctx: Context) -> None:
    """Have a program of its own, and end for nobody."""
    program = subprocess.Popen(["/bin/sleep", "600"])
    ctx.log("process %s", os.getpid())
    ctx.log("program %s", program.pid)
    while True:
        try:
            time.sleep(600)
        except RunInterrupted:
            continue


@app.task(isolation="process", timeout=600, soft_timeout=0.3, max_retries=0)
def heed(how: str) -> str:
    """Outlive the soft timeout, or not."""
    try:
        time.sleep(600)
    except TimedOut:
        if how == "return":
            return "half of it"
        raise
    return "all of it"


@app.task(isolation="process")
def grow(megabytes: int) -> int:
    """Hold on to memory."""
    _held.append(b"x" * (megabytes * 1024 * 1024))
    return os.getpid()


_held: list[bytes] = []


@app.task(timeout=600, max_retries=0)
def thread_until_cancelled(ctx: Context) -> None:
    """Be a thread that looks whether it is to stop."""
    ctx.log("begun")
    while not ctx.cancelled:
        time.sleep(0.005)
    (app.heard if hasattr(app, "heard") else []).append("stopped")
