"""Comparing what a page shows with what came out: loosely, with `…` for what changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def normal(lines: Sequence[str]) -> list[str]:
    """Return lines without what a page may leave out: blank lines, widths of columns and rules."""
    squeezed = (" ".join(re.sub(r"-{2,}", "--", line).split()) for line in lines)
    return [line for line in squeezed if line]


def pattern(shown: Sequence[str]) -> str:
    """Return a pattern of what is shown; a line that is only `…` stands for any lines."""
    return "".join(
        "(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*?") + "\n" for line in normal(shown)
    )


def agrees(shown: Sequence[str], said: str) -> bool:
    """Tell whether all that was said is what is shown."""
    return (
        re.fullmatch(pattern(shown), "".join(f"{line}\n" for line in normal(said.splitlines()))) is not None
    )


def contains(shown: Sequence[str], said: str) -> bool:
    """Tell whether what is shown was said, in this order, between other lines."""
    text = "".join(f"{line}\n" for line in normal(said.splitlines()))
    between = "".join(f"(?:.*\n)*?{pattern([line])}" for line in normal(shown) if line != "…")
    return re.match(between, text) is not None


def shows_an_error(shown: Sequence[str]) -> bool:
    """Tell whether a page shows that a command is refused."""
    return any(re.search(r"^(Error|failed|cancelled): |ERROR: |^Traceback", line) for line in shown)


def shown_beside(program: str) -> list[str]:
    """Return what a program's comments say that its `print`s print.

    >>> shown_beside("print(1 + 1)  # 2")
    ['2']
    """
    return re.findall(r"^ *print\(.*\)  # (.+)$", program, re.MULTILINE)
