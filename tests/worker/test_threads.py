"""The executor of plain functions: whose slot is taken, and for how long."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from howdah.executors.thread import ThreadExecutor


async def test_a_thread_that_goes_on_keeps_its_slot_until_it_ends() -> None:
    released, leave, begun = asyncio.Event(), threading.Event(), threading.Event()
    executor = ThreadExecutor(released.set)

    def stuck() -> None:
        begun.set()
        leave.wait(20)

    task = asyncio.create_task(executor.execute(stuck, [], {}))
    await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert executor.abandoned == 1

    leave.set()
    await asyncio.wait_for(released.wait(), 20)
    assert executor.abandoned == 0
    executor.close()


async def test_a_run_that_is_cancelled_just_after_its_thread_ended_gives_its_slot_back() -> None:
    executor = ThreadExecutor(lambda: None)
    ended = threading.Event()
    task = asyncio.create_task(executor.execute(ended.set, [], {}))
    await asyncio.sleep(0)
    ended.wait(20)
    time.sleep(0.05)  # noqa: ASYNC251 (so that the end waits in the loop's queue, and the cancellation behind it)
    asyncio.get_running_loop().call_soon(task.cancel)

    with pytest.raises(asyncio.CancelledError):
        await task
    assert executor.abandoned == 0
    executor.close()
