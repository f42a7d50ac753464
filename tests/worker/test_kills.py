"""kill -9 in the middle of tasks that write: a job that succeeded has its row once, any other none."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest


def killing(dsn: str, kills: int, seed: int) -> str:
    """Kill in a process of its own: forking the one that runs the tests would fork their threads, too."""
    code = (
        "import sys; from tests.worker.killing import kill_workers\n"
        "figures = kill_workers(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))\n"
        "print(figures); sys.exit(bool(figures.violations))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, dsn, str(kills), str(seed)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rows_are_written_exactly_once_however_workers_are_killed(live_database: Any) -> None:
    assert "0 violations" in killing(live_database.dsn, 30, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_thousand_kills(live_database: Any) -> None:
    assert "0 violations" in killing(live_database.dsn, 1000, seed=2)
