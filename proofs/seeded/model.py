"""The bugs of the state machine: which failures they stand for, and what a run of their tests says."""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Final

from proofs.seeded.trial import Verdict, copied, run_tests
from tests.model.mutants import MUTANTS

_TEST: Final = "tests/model/test_mutants.py::test_the_machine_notices"
# By a part of the name, the first that fits.
_FAILURES: Final[tuple[tuple[str, tuple[int, ...]], ...]] = (
    ("run id", (4,)),
    ("not current", (4,)),
    ("heartbeat", (4,)),
    ("dead worker's exchange", (4,)),
    ("run has its job's number", (4,)),
    ("death", (7,)),
    ("not buried", (1,)),
    ("past its timeout", (1,)),
    ("keeps a run for ever", (1,)),
    ("a rescue ignores", (3,)),
    ("worker that stops", (29,)),
    ("release costs", (29,)),
    ("one more than asked", (20,)),
    ("parked", (30,)),
    ("does not know", (30,)),
    ("were known", (30,)),
    ("was known", (30,)),
    ("key is used again", (22,)),
    ("due before", (25,)),
    ("promoted twice", (3,)),
    ("floor passes", (28,)),
    ("prune", (33,)),
    ("result", (35,)),
)


def failures_of(name: str) -> tuple[int, ...]:
    """Return the failures users met that a bug of the model stands for; none for other mistakes."""
    return next((numbers for part, numbers in _FAILURES if part in name), ())


def model_verdicts(workers: int) -> list[Verdict]:
    """Let the state machine meet all of its bugs."""
    with copied() as place, tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        run_tests(place, ["-n", str(workers), "-m", "model", f"--junitxml={report}", _TEST], stop=False)
        cases = {case.get("name", ""): case for case in ElementTree.parse(report).iter("testcase")}
    return [_verdict(mutant.name, mutant.file, cases) for mutant in MUTANTS]


def _verdict(name: str, file: str, cases: dict[str, ElementTree.Element]) -> Verdict:
    test = f"test_the_machine_notices[{name}]"
    case = cases.get(test)
    # Its tests pass when the machine noticed the bug.
    noticed = case is not None and case.find("failure") is None and case.find("error") is None
    told = None if noticed else "survived" if case is not None else "was not tried"
    path = f"src/howdah/sql/functions/{file}.sql"
    return Verdict(name, failures_of(name), "SQL", path, "model", _TEST if noticed else None, told)
