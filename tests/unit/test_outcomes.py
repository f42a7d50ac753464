"""What becomes of a run."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from howdah.models import ClaimedJob
from howdah.retry import Cancel, Retry, Snooze
from howdah.worker import outcomes

JOB = ClaimedJob(7, 8, 1, "t", "default", 0, 60.0, 3, None, None, None, msgspec.Raw(b"null"))


def plain(outcome: tuple[Any, ...]) -> list[Any]:
    decoded: list[Any] = msgspec.json.decode(msgspec.json.encode(outcome))
    return decoded[2:]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ["succeeded", None]),
        ({"a": 1}, ["succeeded", {"a": 1}]),
        (False, ["succeeded", False]),
        (Retry(), ["failed", "error", "the task asked for a retry", None, None, False]),
        (Retry(delay=5, reason="busy"), ["failed", "error", "busy", None, 5.0, False]),
        (Snooze(1.5), ["snoozed", 1.5]),
        (Cancel("gone"), ["cancelled", "gone"]),
        (Cancel(), ["cancelled", None]),
    ],
)
def test_a_returned_value_decides_the_outcome(value: object, expected: list[Any]) -> None:
    assert plain(outcomes.from_value(JOB, value)) == expected


@pytest.mark.parametrize("value", [object(), math.nan, "\x00", "\ud800", "x" * 2_000_000])
def test_a_result_that_cannot_be_stored_fails_the_job_for_good(value: object) -> None:
    word, kind, message, *_, final = plain(outcomes.from_value(JOB, value))

    assert (word, kind, final) == ("failed", "result", True)
    assert message.startswith("result ")


class Nasty(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "error",
    [ValueError("a\x00b\nc"), ValueError("\ud800"), ValueError("x" * 1_000_000), Nasty(), SystemExit(3)],
    ids=["control", "surrogate", "long", "nasty", "exit"],
)
def test_any_error_can_be_stored(error: BaseException) -> None:
    word, kind, message, trace, delay, final = plain(outcomes.from_error(JOB, error))

    assert (word, kind, delay, final) == ("failed", "error", None, False)
    assert message.isprintable()
    assert len(message) <= 1001
    assert "\x00" not in trace
    assert len(trace.encode()) <= outcomes.TEXT_LIMIT


def test_a_traceback_begins_in_the_task() -> None:
    try:
        raise ValueError("boom")
    except ValueError as error:
        trace = plain(outcomes.from_error(JOB, error))[3]

    assert "test_outcomes.py" in trace
    assert "howdah/worker" not in trace
