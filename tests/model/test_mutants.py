"""The state machine notices seeded bugs: a machine that misses one proves nothing about the engine."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from tests.model.conftest import profile
from tests.model.limited import Limited
from tests.model.machine import Stories, machine_for
from tests.model.mutants import MUTANTS
from tests.model.mutants_of_limits import MUTANTS as LIMITS

if TYPE_CHECKING:
    from tests.model.engine import Engine
    from tests.model.mutant import Mutant

EXAMPLES = 1000
TRIES = 3
# What a few examples notice belongs to the model's long form, the rest to what takes an hour.
LONG_FORM = [
    pytest.param(mutant, id=mutant.name, marks=pytest.mark.model if mutant.quick else pytest.mark.long)
    for mutant in MUTANTS
]


def notices(engine: Engine, mutant: Mutant) -> bool:
    """Return whether engine and model disagree; another error is the mutant's own mistake and propagates.

    Histories are drawn anew each time; what a thousand of them miss, a second thousand may show.
    """
    machine = machine_for(engine, Limited if mutant in LIMITS else Stories)  # others only make it slower
    with mutant.installed(engine):
        for _ in range(TRIES):
            try:
                run_state_machine_as_test(machine, settings=profile(EXAMPLES, (Phase.generate,)))
            except AssertionError:
                return True
            except Flaky:  # equal choices went two ways, as with a bug that hangs on a retry's random delay
                continue
    return False


@pytest.mark.timeout(0)
@pytest.mark.parametrize("mutant", LONG_FORM)
def test_the_machine_notices(mutant: Mutant, engine: Engine) -> None:
    assert notices(engine, mutant), f"survived: {mutant.name}"


@pytest.mark.postgres(18)
@pytest.mark.timeout(600)
def test_the_machine_notices_some_seeded_bugs(engine: Engine) -> None:
    for mutant in random.sample([mutant for mutant in MUTANTS if mutant.quick], 4):
        assert notices(engine, mutant), f"survived: {mutant.name}"


def test_every_seeded_bug_has_a_name_of_its_own_and_changes_something() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 24
    assert all(mutant.old != mutant.new for mutant in MUTANTS)
