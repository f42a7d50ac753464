"""The page of errors: their classes in Python and their codes in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import howdah
from howdah import errors
from howdah.errors import HowdahError

if TYPE_CHECKING:
    from reference_pages.sql import Schema

_INTRODUCTION = """\
# Errors

Every error is one class in Python and, where SQL raises it, one SQLSTATE of the class `JB`. Nothing has to
be read out of a message. In SQL the field COLUMN names the input that was refused (without its `i_`), HINT
says what to do; in Python these are `error.field` and `error.hint`.
"""


def page(schema: Schema) -> str:
    """Return the page."""
    raised = {row["code"] for row in schema.raisers}
    known = {kind.sqlstate for kind in _with_code()}
    if raised != known:
        raise SystemExit(f"SQL raises {sorted(raised)}, errors.py knows {sorted(map(str, known))}")
    rows = [f"| `{kind.sqlstate}` | `{kind.__name__}` | {kind.default_message} |" for kind in _with_code()]
    tree = (errors.__doc__ or "").split("::\n\n", 1)[1].split("\n\n", 1)[0]
    lines = [line.removeprefix("    ") for line in tree.splitlines()]
    return "\n".join(
        [
            _INTRODUCTION,
            "## In SQL\n",
            "| SQLSTATE | class in Python | meaning |\n|---|---|---|",
            *rows,
            "\n## In Python\n",
            "```text",
            *lines,
            "```\n",
            *_described(),
        ]
    )


def _with_code() -> list[type[HowdahError]]:
    found = [kind for kind in _classes() if kind.sqlstate is not None]
    return sorted(found, key=lambda kind: kind.sqlstate or "")


def _classes() -> list[type[HowdahError]]:
    named = (getattr(howdah, name) for name in sorted(howdah.__all__))
    return [kind for kind in named if isinstance(kind, type) and issubclass(kind, HowdahError)]


def _described() -> list[str]:
    head = "| class | is a | its default message |\n|---|---|---|"
    rows = [
        f"| `{one.__name__}` | `{one.__bases__[0].__name__}` | {one.default_message} |" for one in _classes()
    ]
    return [head, *rows, ""]
