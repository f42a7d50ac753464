"""The seeded bugs can be seeded, cover what users met, and one that nothing notices is told of."""

from __future__ import annotations

import dataclasses

import pytest

from proofs.seeded.bug import NOT_APPLICABLE, Bug
from proofs.seeded.bugs import BUGS
from proofs.seeded.model import failures_of
from proofs.seeded.page import FAILURES, seeded_page
from proofs.seeded.trial import ROOT, Verdict, tried
from tests.model.mutants import MUTANTS

HARMLESS = Bug(
    "a comment is another one",
    (12,),
    "src/howdah/drivers/conninfo.py",
    '"""Return which of several hosts will do',
    '"""Return, as it were, which of several hosts will do',
    ("tests/unit/test_conninfo.py",),
)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_place_of_a_bug_is_there(bug: Bug) -> None:
    assert (ROOT / bug.file).read_text("utf-8").count(bug.old) == bug.times
    assert bug.old != bug.new
    assert all((ROOT / test.split("::")[0]).exists() for test in bug.tests if test.startswith("tests/"))


def test_every_failure_that_applies_has_a_bug() -> None:
    covered = {number for bug in BUGS for number in bug.failures}
    covered |= {number for mutant in MUTANTS for number in failures_of(mutant.name)}

    assert covered | set(NOT_APPLICABLE) == set(range(1, 36)) == set(FAILURES)
    assert len(BUGS) + len(MUTANTS) >= 40
    assert len({bug.name for bug in BUGS}) == len(BUGS)


@pytest.mark.postgres(18)
def test_a_bug_that_nothing_notices_has_survived_and_one_that_is_noticed_names_the_test() -> None:
    assert tried(HARMLESS).problem == "survived"

    found = tried(next(bug for bug in BUGS if bug.name == "of several hosts any will do"))

    assert str(found.caught_by).startswith("tests/unit/test_conninfo.py::test_")


def test_a_bug_whose_place_has_changed_is_a_problem() -> None:
    assert "there 0 times" in str(tried(dataclasses.replace(HARMLESS, old="no such words")).problem)


def test_the_page_shows_survivors() -> None:
    page = seeded_page([Verdict("b", (4,), "SQL", "src/x.sql", "race", None, "survived")])

    assert "Noticed: **0**" in page
    assert "**nothing** (survived)" in page
    assert "there are no schedules yet" in page
