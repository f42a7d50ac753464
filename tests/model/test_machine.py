"""The engine does what the reference model says, whatever is called in whatever order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.fixtures.cluster import VERSIONS
from tests.model.conftest import EXAMPLES, profile
from tests.model.machine import machine_for

if TYPE_CHECKING:
    from tests.model.engine import Engine


PARTS = 5


@pytest.mark.timeout(600)  # a failure is made smaller before it is shown
def test_the_engine_agrees_with_the_model_in_any_order_of_calls(
    engine: Engine, postgres_version: int
) -> None:
    examples = 200 if postgres_version == VERSIONS[0] else 50
    run_state_machine_as_test(machine_for(engine), settings=profile(examples))


@pytest.mark.model
@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_engine_agrees_with_the_model_in_many_more_orders_of_calls(engine: Engine, part: int) -> None:
    """In parts, so that no process is left alone with all of it when the seeded bugs are done."""
    run_state_machine_as_test(machine_for(engine), settings=profile(EXAMPLES // PARTS))
