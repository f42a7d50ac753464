"""How long a worker that found nothing waits until its next look: pure decisions."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from howdah.models import ExchangeAnswer

__all__ = ["DEAF_NAP", "LINGER", "nap"]

# Seconds that a worker stays up after its last job, and how often it looks then. Where jobs come faster than
# that, nobody lies down between two of them, so that no publish must ring.
LINGER = 0.012
_LINGER_POLL = 0.003
# How often a sleeper looks while a publisher is in flight that did not see it. One that is so for longer than
# a second may be so for hours.
_SHORT_POLL = 0.02
_PATIENT_POLL = 0.1
_PATIENCE = 1.0
_BURST_POLL = 0.05
# The safety poll of a worker that hears, and the poll of one that cannot hear.
_LONG = 5.0
DEAF_NAP = 0.2


def nap(answer: ExchangeAnswer, *, hears: bool, burst: bool, found_ago: float, down_for: float) -> float:
    """Return the seconds until the next look of a worker that found nothing.

    `found_ago` is how long ago it found a job, `down_for` how long it has looked in vain, both in seconds.

    >>> from howdah.models import ExchangeAnswer
    >>> nap(ExchangeAnswer(asleep=True, settled=True), hears=True, burst=False, found_ago=9, down_for=9)
    5.0
    """
    if burst:
        return _LINGER_POLL if found_ago < LINGER else _BURST_POLL
    if not answer.asleep:
        # Nobody would ring.
        return _LINGER_POLL if hears or found_ago < LINGER else _until_due(answer, DEAF_NAP)
    if not answer.settled:
        return _SHORT_POLL if down_for < _PATIENCE else _PATIENT_POLL
    if answer.nap is not None and hears:
        return answer.nap * random.uniform(0.8, 1)  # noqa: S311 (spreads load, guards nothing)
    return _until_due(answer, _LONG if hears else DEAF_NAP)


def _until_due(answer: ExchangeAnswer, longest: float) -> float:
    return longest if answer.next is None else max(_SHORT_POLL, min(answer.next, longest))
