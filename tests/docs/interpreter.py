"""A Python session in a process of its own: runs block after block in one namespace and one event loop.

Reads blocks as JSON lines from standard input, answers each with a marked JSON line: what it printed, and
its error.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import os
import sys
import traceback
from types import FunctionType
from typing import Any

MARK = "answer: "  # what else comes out, warnings for example, has no such mark


def run(source: str, place: str, names: dict[str, Any], runner: asyncio.Runner) -> str | None:
    """Run a block, which may await at its top level; return its traceback if it failed."""
    try:
        code = compile(source, place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            runner.run(FunctionType(code, names)())
        else:
            exec(code, names)
    except BaseException:
        return traceback.format_exc()
    return None


def main() -> None:
    """Serve until standard input ends."""
    answers = sys.stdout
    sys.path.insert(0, os.getcwd())
    names: dict[str, Any] = {"__name__": "page"}
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            block = json.loads(line)
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                error = run(block["source"], block["place"], names, runner)
            print(MARK + json.dumps({"said": said.getvalue(), "error": error}), file=answers, flush=True)


if __name__ == "__main__":
    main()
