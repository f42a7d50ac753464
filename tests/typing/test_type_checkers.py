"""What a type checker tells users about their own code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SNIPPET = Path(__file__).with_name("snippet.py.txt").read_text("utf-8")
WRONG = {number for number, line in enumerate(SNIPPET.splitlines(), 1) if line.endswith("# error")}


@pytest.fixture
def snippet(tmp_path: Path) -> Path:
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET, "utf-8")
    return path


def checked(*command: str, folder: Path) -> str:
    """What a checker says, run where no project's configuration is."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": ""}
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    return done.stdout + done.stderr


@pytest.fixture
def pyright_works() -> None:
    if not (BIN / "pyright").is_file():
        pytest.skip("pyright is not installed")
    if shutil.which("node") is None:
        pytest.skip("pyright needs node, and would fetch one from the network")


def lines_with_errors(said: str) -> set[int]:
    return {int(number) for number in re.findall(r"snippet\.py:(\d+):(?:\d+ -)? error", said)}


def test_mypy_refuses_wrong_arguments_and_knows_results(snippet: Path) -> None:
    cache = ROOT / ".mypy_cache" / "snippets"

    said = checked("mypy", "--strict", f"--cache-dir={cache}", snippet.name, folder=snippet.parent)

    assert lines_with_errors(said) == WRONG, said


@pytest.mark.usefixtures("pyright_works")
def test_pyright_refuses_wrong_arguments_and_knows_results(snippet: Path) -> None:
    said = checked("pyright", snippet.name, folder=snippet.parent)

    assert lines_with_errors(said) == WRONG, said


@pytest.mark.usefixtures("pyright_works")
def test_every_public_name_has_a_type(tmp_path: Path) -> None:
    said = checked("pyright", "--verifytypes", "howdah", "--ignoreexternal", folder=tmp_path)

    unknown = re.findall(r"^  (/.*)$", said, re.MULTILINE)
    assert "Type completeness score: 100%" in said, "\n".join(unknown) or said
