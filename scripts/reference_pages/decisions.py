"""The index of docs/decisions, from the titles of its pages."""

from __future__ import annotations

import re
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[2] / "docs" / "decisions"
_BEFORE = """\
# Decisions

A choice that had alternatives, with what decided it. A decision is not rewritten when it is overtaken: the
new one says so.

| | |
|---|---|
"""
_AFTER = """
To add one: the next number, a title that states the choice, the situation, what was chosen, what was not and
why, and the numbers (what was measured, on what). Then run `scripts/reference`.
"""


def page() -> str:
    """Return the page."""
    rows = [
        f"| [{path.name[:4]}]({path.name}) | {_title(path)} |\n" for path in sorted(_FOLDER.glob("[0-9]*.md"))
    ]
    return "".join([_BEFORE, *rows, _AFTER])


def _title(path: Path) -> str:
    return re.sub(r"^#\s*(\d+\.\s*)?", "", path.read_text("utf-8").splitlines()[0])
