"""The metronome measures what a process waits for the machine, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from chaos.journal import VARIABLE, read_journals
from chaos.metronome import turn
from chaos.reading import Journals

if TYPE_CHECKING:
    from pathlib import Path


def test_a_process_that_is_held_up_is_late_for_as_long(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "chaos.metronome"], env={**os.environ, VARIABLE: str(tmp_path)}
    )
    while not any(path.read_bytes() for path in tmp_path.glob("*.jsonl")):
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    held = time.monotonic()
    time.sleep(0.5)
    process.send_signal(signal.SIGCONT)
    resumed = time.monotonic()
    while not any(line["until"] > resumed for line in read_journals(tmp_path)):
        time.sleep(0.01)
    process.terminate()
    assert process.wait(10) == 0
    late = Journals(read_journals(tmp_path)).lateness()
    around = [one for one in late if one.until > held and one.since < resumed]
    assert 0.45 < sum(one.late for one in around) <= sum(one.until - one.since for one in around)


def test_the_turn_of_a_process_that_is_not_held_up_is_not_late() -> None:
    assert min(turn() for _ in range(50)) < 0.005
