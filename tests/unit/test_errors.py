"""One SQLSTATE, one class."""

from __future__ import annotations

import pickle

import pytest

from howdah import errors


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("JB001", errors.InvalidInput),
        ("JB002", errors.LeaseLost),
        ("JB003", errors.JobNotFound),
        ("JB004", errors.WrongState),
        ("JB005", errors.IsolationTooHigh),
        ("JB006", errors.RunIdRequired),
        ("JB007", errors.WorkerUnknown),
        ("57P01", errors.DatabaseUnavailable),
        ("53300", errors.DatabaseUnavailable),
        ("25006", errors.DatabaseUnavailable),
        ("08006", errors.DatabaseUnavailable),
        ("40P01", errors.DatabaseUnavailable),
        ("42883", errors.SchemaOutdated),
        ("3F000", errors.SchemaOutdated),
        ("22P05", errors.DatabaseError),
        ("22003", errors.InvalidInput),
        ("22021", errors.InvalidInput),
        ("22P02", errors.InvalidInput),
        (None, errors.DatabaseError),
    ],
)
def test_a_sqlstate_has_its_class(sqlstate: str | None, kind: type[errors.HowdahError]) -> None:
    assert type(errors.error_for(sqlstate, "no")) is kind


def test_an_error_says_which_field_and_what_to_do() -> None:
    error = errors.error_for("JB001", "queue: is bad", field="queue", hint="Give a name.")

    assert (error.field, error.hint) == ("queue", "Give a name.")
    assert str(error) == "queue: is bad (Give a name.)"


def test_every_error_has_a_message_of_its_own() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__ if name != "error_for"]

    assert all(str(kind()) for kind in kinds)
    assert len({str(kind()) for kind in kinds}) == len(kinds)


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    assert errors.__doc__ is not None
    drawn = {word for word in errors.__doc__.split() if hasattr(errors, word)}

    assert drawn == set(errors.__all__) - {"error_for"}


def test_a_failed_job_keeps_its_kind_and_traceback() -> None:
    error = errors.JobFailed("boom", kind="timeout", traceback="Traceback")

    assert (error.message, error.kind, error.traceback) == ("boom", "timeout", "Traceback")


def test_an_error_can_be_pickled() -> None:
    assert str(pickle.loads(pickle.dumps(errors.InvalidInput("no")))) == "no"
