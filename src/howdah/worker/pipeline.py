"""Hands in outcomes and claims jobs: one round trip for both, two of them under way.

While PostgreSQL works on one batch, Python works on the other. When the queues are empty one connection
becomes the scout: it looks every few milliseconds, then declares the worker asleep until the doorbell rings.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from howdah import calls
from howdah.errors import DatabaseUnavailable, HowdahError, WorkerUnknown
from howdah.worker import outcomes
from howdah.worker.burst import nothing_more
from howdah.worker.demand import BATCH_LIMIT, claim_size, flush_size
from howdah.worker.doubts import Doubts
from howdah.worker.line import is_momentary
from howdah.worker.log import logger
from howdah.worker.naps import LINGER, nap
from howdah.worker.shares import Shares
from howdah.worker.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from howdah.models import ExchangeAnswer, Outcome
    from howdah.worker.doorbell import Doorbell
    from howdah.worker.line import Line
    from howdah.worker.options import WorkerOptions
    from howdah.worker.registration import Registration
    from howdah.worker.runner import Runner

__all__ = ["Pipeline"]

# Seconds: how long an outcome waits for company.
_FLUSH_DELAY = 0.004
# A worker whose runs take less than this is back soon, although it has no slot left; else it says so.
_SHORT_RUN = 0.005
_SOON = 0.02
_LATER = 0.05


class Pipeline:
    """Runs until it was told to stop and everything that ran is handed in."""

    def __init__(
        self,
        runner: Runner,
        registration: Registration,
        lines: Sequence[Line],
        doorbell: Doorbell,
        options: WorkerOptions,
    ) -> None:
        self._runner = runner
        self._registration = registration
        self._lines = lines
        self._doorbell = doorbell
        self._options = options
        self._shares = Shares(options.weights)
        self._clock = time.monotonic
        self._changed = asyncio.Event()
        self._parked = 0
        self._flush_at = 1
        self._pending_since: float | None = None
        self._requested = 0
        self._in_flight = 0
        # Outcomes that could not be taken; they are handed in again a little later.
        self._postponed: list[Outcome] = []
        self._empty = self._scouting = False
        self._lay_down = 0.0
        self._found_at = 0.0
        self._promised: float | None = None
        self._doubts = Doubts()
        self._stopping = False
        self._waiting = Waiting()
        self._life: int | None = None
        doorbell.tell(self._changed.set)

    async def run(self) -> None:
        """Work until stopped and drained."""
        async with asyncio.TaskGroup() as pipes:
            for line in self._lines:
                pipes.create_task(self._pipe(line))

    def stop(self) -> None:
        """Claim no more, give back what has not started, hand in what runs; then `run` returns."""
        self._stopping = True
        self._doorbell.called = True  # somebody else must look from now on
        self._runner.drain()
        self._wake()

    def declared_dead(self, worker_id: int) -> None:
        """Take notice that the database does not know this number: the next exchange registers anew."""
        if self._registration.worker_id == worker_id:
            self._runner.stop_all("lost")
            self._empty = False
            self._wake()

    def fenced(self) -> None:
        """Take notice that the database may think that we hold what we do not: that goes back."""
        self._doubts.arise()
        self._wake()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping

    @property
    def unreported(self) -> int:
        """Runs and outcomes that the database does not know about yet."""
        return self._runner.unreported + len(self._runner.outcomes) + len(self._postponed)

    def changed(self) -> None:
        """Take notice of the runner; called after every run, so it does next to nothing."""
        if self._parked:
            ready = len(self._runner.outcomes)
            if ready == 1 or ready >= self._flush_at or not self._runner.waiting:
                self._changed.set()

    def _wake(self) -> None:
        self._changed.set()
        self._doorbell.ring()

    # ── One pipe ──

    async def _pipe(self, line: Line) -> None:
        while not self._finished():
            wanted = self._wanted()
            if wanted or self._must_hand_in():
                await self._exchange(line, wanted)
            elif self._doubts and not self._in_flight:
                await self._reconcile(line)
            elif self._must_hand_over():
                await self._exchange(line, 0, sleep=True)
            elif self._may_scout():
                await self._scout(line)
            else:
                await self._pause()
        self._wake()  # the other pipe may be waiting for nothing but the end

    def _finished(self) -> bool:
        return self._stopping and not self.unreported and not self._in_flight

    def _wanted(self) -> int:
        if self._stopping or self._empty or self._doubts:
            return 0
        return claim_size(self._runner.load(self._requested))

    def _must_hand_in(self) -> bool:
        ready = len(self._runner.outcomes)
        if not ready:
            self._pending_since = None
            return False
        now = self._clock()
        if self._pending_since is None:
            self._pending_since = now
        self._flush_at = flush_size(self._runner.load(self._requested))
        old = now >= self._pending_since + _FLUSH_DELAY
        return old or ready >= self._flush_at or self._runner.idle or self._stopping

    def _must_hand_over(self) -> bool:
        """Somebody counts on this worker, which has no free slot."""
        if self._scouting:
            return False
        if self._idle_slots() > 0 and not self._stopping:
            self._promised = None  # it is about to look
            return False
        overdue = self._promised is not None and self._clock() >= self._promised
        return self._doorbell.called or overdue

    async def _pause(self) -> None:
        self._changed.clear()
        self._parked += 1
        seconds = None
        if self._pending_since is not None:
            seconds = max(0.0, self._pending_since + _FLUSH_DELAY - self._clock())
        elif self._promised is not None:
            seconds = max(0.001, self._promised - self._clock())
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            self._parked -= 1

    # ── One exchange ──

    async def _exchange(self, line: Line, wanted: int, *, sleep: bool = False) -> ExchangeAnswer | None:
        if wanted or sleep:
            self._doorbell.expect()
            self._promised = None
        soon = (self._runner.duration or 1.0) < _SHORT_RUN
        handed = self._taken()
        worker_id = self._registration.worker_id
        self._requested += wanted
        self._in_flight += 1
        try:
            shares, era = self._shares.of(wanted), self._doubts.era
            call = calls.exchange(worker_id, handed, wanted, sleep=sleep, soon=soon, shares=shares, era=era)
            answer = await line.execute(call)
        except WorkerUnknown:
            await self._start_over(worker_id)
        except DatabaseUnavailable as error:
            if is_momentary(error):
                await self._again_soon(handed)
                return None
            self._doubts.arise(wanted > 0)  # the answer is lost, the exchange may have happened
            await self._after_failure(handed, error.message)
        except HowdahError as error:
            await self._after_refusal(line, worker_id, handed, error)
        except Exception as error:  # a bug here must not cost outcomes, nor end the worker
            logger.exception("an exchange failed")
            self._doubts.arise(wanted > 0)
            await self._after_failure(handed, repr(error))
        else:
            self._waiting.reset()
            self._accept(answer, handed, wanted, worker_id, soon=soon)
            return answer
        finally:
            self._requested -= wanted
            self._in_flight -= 1
        return None

    def _taken(self) -> list[Outcome]:
        ready = self._runner.outcomes
        handed = ready[: outcomes.fitting(ready[: 2 * BATCH_LIMIT])]
        del ready[: len(handed)]
        self._pending_since = None
        return handed

    def _accept(
        self, answer: ExchangeAnswer, handed: Sequence[Outcome], wanted: int, worker_id: int, *, soon: bool
    ) -> None:
        if worker_id != self._registration.worker_id:
            return  # declared dead while the answer was under way: the runs are not ours any more
        if answer.life != self._life:
            # A crash or a failover may have undone what we handed in: nobody else would end those runs.
            self._doubts.arise(self._life is not None)
            self._life = answer.life
        if answer.lost:
            logger.warning("%s outcomes dropped: their leases were lost", len(answer.lost))
        if answer.later:
            self._hand_in_later(handed, set(answer.later))
        if wanted:
            # Fewer than there are slots: nothing is left, so the next look may as well be the scout's.
            self._empty = len(answer.jobs) < min(wanted, self._options.concurrency)
        if answer.jobs:
            self._found_at = self._clock()
            if soon and len(answer.jobs) >= wanted:
                self._promised = self._found_at + _SOON
            self._runner.size = answer.size / len(answer.jobs)
            self._runner.feed(answer.jobs)
            self._changed.set()

    def _hand_in_later(self, handed: Sequence[Outcome], run_ids: set[int]) -> None:
        """Somebody held these rows locked: only these wait."""
        kept = [outcome for outcome in handed if outcome[1] in run_ids]
        self._postponed.extend(kept)

        def again() -> None:
            known = [outcome for outcome in kept if outcome in self._postponed]  # unless forgotten
            self._postponed = [outcome for outcome in self._postponed if outcome not in known]
            self._runner.outcomes.extend(known)
            self._changed.set()

        asyncio.get_running_loop().call_later(_LATER, again)

    async def _start_over(self, unknown: int) -> None:
        """Drop what belonged to a number that the database does not know; register anew unless stopping."""
        if self._stopping:
            logger.warning("worker %s was declared dead while it was stopping", unknown)
            self._forget()
        else:
            await self._registration.renew(unknown, self._forget)
            self._doorbell.listen_anew()

    def _forget(self) -> None:
        self._runner.forget()
        self._postponed.clear()
        self._doubts.forget()

    # ── When it fails ──

    async def _again_soon(self, handed: Sequence[Outcome]) -> None:
        """Nothing happened, and the reason will have passed in a moment."""
        self._runner.outcomes[:0] = handed
        await asyncio.sleep(_LATER)

    async def _after_failure(self, handed: Sequence[Outcome], problem: str) -> None:
        self._runner.outcomes[:0] = handed
        if self._waiting.failures == 0:
            logger.warning("waiting for PostgreSQL, %s outcomes in memory: %s", self.unreported, problem)
        await asyncio.sleep(self._waiting.next())

    async def _after_refusal(
        self, line: Line, worker_id: int, handed: Sequence[Outcome], error: HowdahError
    ) -> None:
        if not handed:
            logger.error("the database refuses to hand out jobs: %s", error)
            await asyncio.sleep(self._waiting.next())
            return
        for position, outcome in enumerate(handed):
            try:
                await self._hand_in_alone(line, worker_id, outcome)
            except DatabaseUnavailable as unavailable:
                await self._after_failure(handed[position:], unavailable.message)
                return
            except WorkerUnknown:
                await self._start_over(worker_id)
                return
            except HowdahError as refused:
                # Its lease ends like that of a lost run, and the job is run again.
                logger.error("job %s: not even its failure can be stored: %s", outcome[0], refused)

    async def _hand_in_alone(self, line: Line, worker_id: int, outcome: Outcome) -> None:
        """Find the outcome that the database cannot take, and let its job fail instead of the batch."""
        try:
            answer = await line.execute(calls.exchange(worker_id, [outcome], 0, era=self._doubts.era))
        except (DatabaseUnavailable, WorkerUnknown):
            raise
        except HowdahError as error:
            logger.warning("job %s: its outcome was refused: %s", outcome[0], error.message)
            outcome = outcomes.unstorable(outcome, error.message)
            answer = await line.execute(calls.exchange(worker_id, [outcome], 0, era=self._doubts.era))
        if answer.later:
            self._hand_in_later([outcome], set(answer.later))

    async def _reconcile(self, line: Line) -> None:
        """Give back what an exchange claimed for us whose answer never came."""
        worker_id = self._registration.worker_id
        held = {*self._runner.held(), *(outcome[1] for outcome in self._postponed)}
        seen, era = self._doubts.begin_era()
        self._in_flight += 1
        try:
            given_back, locked = await line.execute(calls.reconcile(worker_id, sorted(held), era))
        except WorkerUnknown:
            await self._start_over(worker_id)
        except HowdahError as error:
            if is_momentary(error):
                await self._again_soon(())
            else:
                await self._after_failure((), error.message)
        else:
            self._doubts.settle(seen)
            if given_back:
                logger.info("gave back %s runs whose claim was never answered", given_back)
            if locked:
                asyncio.get_running_loop().call_later(self._doubts.UNTIL_UNLOCKED, self.fenced)
        finally:
            self._in_flight -= 1

    # ── When there is nothing to do ──

    def _may_scout(self) -> bool:
        if self._stopping or self._scouting or self._doubts or not self._empty:
            return False
        return self._idle_slots() > 0

    def _idle_slots(self) -> int:
        load = self._runner.load(self._requested)
        return load.slots - load.busy - load.waiting - load.requested

    async def _scout(self, line: Line) -> None:
        self._scouting = True
        self._lay_down = self._clock()
        try:
            while (slots := self._idle_slots()) > 0 and not self._stopping and not self._doubts:
                answer = await self._exchange(line, slots, sleep=self._may_sleep())
                if answer is None or not self._empty:
                    return
                await self._rest(line, answer)
        finally:
            self._scouting = False
            self._empty = False
            self._changed.set()

    def _may_sleep(self) -> bool:
        return self._doorbell.hears and not self._options.burst and self._clock() >= self._found_at + LINGER

    async def _rest(self, line: Line, answer: ExchangeAnswer) -> None:
        if self._options.burst and await self._all_done(line):
            self.stop()
        else:
            now, hears, burst = self._clock(), self._doorbell.hears, self._options.burst
            found_ago, down_for = now - self._found_at, now - self._lay_down
            seconds = nap(answer, hears=hears, burst=burst, found_ago=found_ago, down_for=down_for)
            await self._doorbell.wait(seconds)

    async def _all_done(self, line: Line) -> bool:
        if self._in_flight or self.unreported or not self._runner.idle:
            return False
        try:
            return await nothing_more(line, self._options)
        except HowdahError as error:
            await self._after_failure((), error.message)
            return False
