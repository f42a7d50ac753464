"""What was written down survives the death of who wrote it, and never half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from chaos.journal import Journal, digest, read_journals
from chaos.reading import Journals

if TYPE_CHECKING:
    from pathlib import Path

_WRITER = """
import os, signal, sys
from pathlib import Path
from chaos.journal import Journal
journal = Journal(Path(sys.argv[1]), "writer")
for number in range(1000):
    journal.write("line", number=number, text="x" * 500)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_lines_survive_a_kill(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _WRITER, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [line["number"] for line in read_journals(tmp_path)] == list(range(1000))


def test_the_lines_of_one_process_are_read_alone(tmp_path: Path) -> None:
    Journal(tmp_path, "writer-1").write("line")
    subprocess.run([sys.executable, "-c", _WRITER, str(tmp_path)], check=False)
    assert [line["pid"] for line in read_journals(tmp_path, os.getpid())] == [os.getpid()]
    assert len(read_journals(tmp_path)) == 1001


def test_a_call_that_was_never_answered_is_unknown(tmp_path: Path) -> None:
    Journal(tmp_path, "publisher").write(
        "publish",
        call="c1",
        tokens=["t1", "t2"],
        key=None,
        task="quick",
        expect=["succeeded"],
        digests=["d1", "d2"],
        max_retries=None,
        cancels=False,
    )
    calls = Journals(read_journals(tmp_path)).publications()
    assert [(call.token, call.outcome, call.job) for call in calls] == [
        ("t1", "unknown", None),
        ("t2", "unknown", None),
    ]


def test_a_run_that_was_never_seen_to_end_has_no_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "run")
    facts = {"job": 1, "attempt": 1, "task": "quick", "token": "t", "digest": "d", "in_thread": False}
    for run in (1, 2):
        journal.write("start", run=run, **facts)
    journal.write("end", run=1, how="returned")
    first, second = Journals(read_journals(tmp_path)).executions()
    assert (first.how, second.how) == ("returned", None)
    assert first.began <= first.ended < second.ended


def test_a_run_in_a_process_of_its_own_is_its_worker_s(tmp_path: Path) -> None:
    facts = {"job": 1, "attempt": 1, "task": "quick", "token": "t", "digest": "d", "in_thread": False}
    Journal(tmp_path, "run").write("start", run=1, worker=77, **facts)
    Journal(tmp_path, "run").write("end", run=1, how="returned")
    (execution,) = Journals(read_journals(tmp_path)).executions()
    assert (execution.pid, execution.alone, execution.how) == (77, True, "returned")


def test_an_operation_that_was_never_answered_is_unknown(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "nemesis")
    first = journal.write("operate", verb="retry", job=1, token="t1")
    journal.write("operated", call=first, outcome="JB004")
    journal.write("operate", verb="delete", job=2, token="t2")
    refused, unknown = Journals(read_journals(tmp_path)).operations()
    assert (refused.verb, refused.outcome, unknown.outcome) == ("retry", "JB004", "unknown")
    assert refused.ended < unknown.began < unknown.ended


def test_a_digest_does_not_depend_on_how_a_document_is_written() -> None:
    assert digest({"a": [1, {"b": None}], "c": "ü"}) == digest({"c": "ü", "a": [1, {"b": None}]})
    assert digest({"a": 1}) != digest({"a": "1"})
