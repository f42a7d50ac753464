"""Every two API functions that meet on one job: the outcome is one that some order of the calls explains.

The first call's transaction is open when the second call starts; then it commits, is rolled back or loses its
backend. The normal run plays every pair from every state once at READ COMMITTED, with a commit or a rollback,
and a sample of the rest, the same in every run; `-m long` plays everything.
"""

from __future__ import annotations

import random
from itertools import product
from typing import TYPE_CHECKING, Final

import pytest

from tests.race.moves import ENDINGS, ISOLATIONS, MOVES, STATES, Case

if TYPE_CHECKING:
    from tests.race.arena import Arena

_SEED: Final = 20
_SAMPLE: Final = 8


def _all(state: str, first: str) -> list[Case]:
    return [
        Case(state, first, second, ending, *isolations)
        for second, ending, isolations in product(MOVES, ENDINGS, product(ISOLATIONS, repeat=2))
    ]


def _sample(state: str, first: str) -> list[Case]:
    """Each second call once, a few with other isolation levels, one with a killed backend."""
    chosen = random.Random(f"{_SEED} {state} {first}")
    once = [Case(state, first, second, chosen.choice(ENDINGS[:2])) for second in MOVES]
    rest = [case for case in _all(state, first) if case not in once]
    unkilled = [case for case in rest if case.ending != "terminate"]
    killed = [case for case in rest if case.ending == "terminate"]
    return [*once, *chosen.sample(unkilled, _SAMPLE), chosen.choice(killed)]


def _check(arena: Arena, cases: list[Case]) -> None:
    failures = [f"{case}\n  {line}" for case in cases for line in arena.meet(case)]
    assert not failures, f"{len(failures)} of {len(cases)} cases\n" + "\n".join(failures)


@pytest.mark.parametrize("first", MOVES)
@pytest.mark.parametrize("state", STATES)
def test_two_calls_that_meet_end_as_in_some_order_of_them(arena: Arena, state: str, first: str) -> None:
    _check(arena, _sample(state, first))


@pytest.mark.long
@pytest.mark.parametrize("first", MOVES)
@pytest.mark.parametrize("state", STATES)
def test_two_calls_that_meet_end_as_in_some_order_of_them_at_every_isolation_level(
    arena: Arena, state: str, first: str
) -> None:
    _check(arena, _all(state, first))
