"""One trial: a copy of the sources with a bug in it, and the tests that have to fail there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proofs.seeded.bug import Bug

ROOT = Path(__file__).parents[2]
_COPIED = ("src", "tests", "chaos", "proofs", "scripts", "docs")
_FILES = ("pyproject.toml", "README.md", "CONTRIBUTING.md", "Makefile")
_SECONDS = 1800
_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)
# What pytest says: tests failed, and tests passed.
_SOME_FAILED, _ALL_PASSED = 1, 0


class Verdict(msgspec.Struct, frozen=True):
    """What became of a bug: the test that noticed it, or why there is none."""

    name: str
    failures: tuple[int, ...]
    language: str
    file: str
    tier: str
    caught_by: str | None
    problem: str | None = None


@contextmanager
def copied() -> Iterator[Path]:
    """Copy the work tree for the block."""
    with tempfile.TemporaryDirectory(prefix="howdah-seeded-") as folder:
        place = Path(folder)
        for name in _COPIED:
            shutil.copytree(
                ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", "results*.jsonl")
            )
        for name in _FILES:
            shutil.copy(ROOT / name, place / name)
        place.chmod(0o755)  # a server of another account reads from it
        yield place


def tried(bug: Bug, unclean: frozenset[str] = frozenset()) -> Verdict:
    """Put the bug into a copy, run its tests there, and say what noticed it.

    `unclean`: tests that fail without any bug.
    """
    with copied() as place:
        problem = seed(bug, place)
        if problem is None:
            code, failed, said = run_tests(place, bug.tests)
            noticed = [test for test in failed if test not in unclean]
            if code == _SOME_FAILED and noticed:
                return _verdict(bug, noticed[0], None)
            if failed:
                return _verdict(bug, None, f"{failed[0]} fails without the bug, too")
            problem = "survived" if code == _ALL_PASSED else f"pytest ended with {code}: {said}"
    return _verdict(bug, None, problem)


def seed(bug: Bug, place: Path) -> str | None:
    """Put a bug into a copy; return why that cannot be done."""
    path = place / bug.file
    text = path.read_text("utf-8") if path.exists() else ""
    found = text.count(bug.old)
    if found != bug.times or bug.old == bug.new:
        return f"its place in {bug.file} is there {found} times, not {bug.times}"
    path.write_text(text.replace(bug.old, bug.new), "utf-8")
    return None


def run_tests(place: Path, tests: Sequence[str], *, stop: bool = True) -> tuple[int, list[str], str]:
    """Run tests of a copy; return pytest's exit code, the tests that failed, and its last words."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider",
            *(["-x"] if stop else []), *tests,
        ],
        cwd=place,
        env={**os.environ, "PYTHONPATH": f"{place / 'src'}{os.pathsep}{place}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_SECONDS,
    )  # fmt: skip
    return done.returncode, _FAILED.findall(done.stdout), " ".join(done.stdout[-400:].split())


def _verdict(bug: Bug, caught_by: str | None, problem: str | None) -> Verdict:
    return Verdict(bug.name, bug.failures, bug.language, bug.file, bug.tier, caught_by, problem)
