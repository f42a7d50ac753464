"""One database for the session, emptied between examples; long forms run only when chosen by `-m model`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.model.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.database import Administrator, Database

STEPS = int(os.environ.get("HOWDAH_MODEL_STEPS", "20"))
EXAMPLES = int(os.environ.get("HOWDAH_MODEL_EXAMPLES", "1000"))


def profile(examples: int, phases: tuple[Phase, ...] = tuple(Phase)) -> settings:
    """Settings of a run of the machine: random each time, with the blob that repeats a failure."""
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        phases=phases,
        deadline=None,
        derandomize=False,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="session")
def model_database(administrator: Administrator, template: Database) -> Database:
    return administrator.clone(template, "model")


@pytest.fixture(scope="session")
def engine(model_database: Database) -> Iterator[Engine]:
    """The engine, on a database of this session."""
    engine = Engine(model_database.dsn)
    engine.install()
    yield engine
    engine.connection.close()
