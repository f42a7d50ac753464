"""Processes of a run: what they print, and that none is left."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.processes import CommandFailed, last_words, running


def python(code: str) -> list[str]:
    """The command that runs some code."""
    return [sys.executable, "-c", code]


def test_the_last_figure_that_was_printed_counts() -> None:
    code = """print('{"jobs": 1, "seconds": 2}'); print("done"); print('{"jobs": 3, "seconds": 4}')"""
    with running(python(code), {}) as process:
        assert process.figure() == {"jobs": 3, "seconds": 4}


def test_a_command_that_fails_says_why() -> None:
    with (
        running(python("raise SystemError('no driver')"), {}) as process,
        pytest.raises(CommandFailed, match="no driver"),
    ):
        process.figure()


def test_a_command_that_does_not_end_is_given_up() -> None:
    endless = python("import threading; threading.Event().wait()")
    with running(endless, {}) as process, pytest.raises(CommandFailed, match="did not end within"):
        process.figure(patience=0.05)


def test_the_children_of_a_process_end_with_it() -> None:
    code = (
        "import subprocess, sys;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print('{\"child\": %d}' % child.pid)"
    )
    with running(python(code), {}) as process:
        child = int(process.figure()["child"])
    status = Path(f"/proc/{child}/status")
    assert not status.exists() or "Z (zombie)" in status.read_text()


def test_settings_of_the_users_own_do_not_reach_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOWDAH_CONCURRENCY", "1000")
    monkeypatch.setenv("PGOPTIONS", "-c synchronous_commit=off")
    count = "sum(name.startswith(('HOWDAH', 'PG')) for name in os.environ)"
    code = f"import json, os; print(json.dumps({{'found': {count}}}))"
    with running(python(code), {}) as process:
        assert process.figure() == {"found": 0}


def test_the_line_that_names_the_error_is_the_one_that_is_told() -> None:
    assert last_words("Error: no driver\n    at open (Error)\nNode.js v24") == "Error: no driver"
    assert last_words("first\nlast") == "last"
    assert last_words("") == "it printed nothing"
