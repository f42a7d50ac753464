"""The page of Python names, from their docstrings."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from typing import Any

from howdah.errors import HowdahError

_MODULES = ("howdah", "howdah.testing", "howdah.worker", "howdah.settings", "howdah.embedded")
_INTRODUCTION = """\
# Python reference

What can be imported, with its signature and its docstring. Errors have a [page of their own](errors.md).
Durations are seconds or a `timedelta`; methods that end in `_sync` are for code without an event loop.
"""


def page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    seen: set[int] = set()
    for name in _MODULES:
        if importlib.util.find_spec(name) is not None:
            parts += _module(name, seen)
    return "\n".join(parts)


def _module(name: str, seen: set[int]) -> list[str]:
    module = importlib.import_module(name)
    about = [] if name == "howdah" else [_text(inspect.getdoc(module))]
    parts = [f"## {name}\n", *about]
    for public in sorted(module.__all__, key=str.casefold):
        found = getattr(module, public)
        if id(found) in seen or (isinstance(found, type) and issubclass(found, HowdahError)):
            continue
        seen.add(id(found))
        parts += (
            _class(f"{name}.{public}", found)
            if isinstance(found, type)
            else _function(f"{name}.{public}", found)
        )
    return parts


def _class(name: str, found: type) -> list[str]:
    parts = [
        f"### {name}\n",
        _code(f"class {found.__name__}{_signature(found)}"),
        _text(inspect.getdoc(found)),
    ]
    for member, value in _members(found):
        parts += _member(f"{found.__name__}.{member}", value)
    return parts


def _members(found: type) -> list[tuple[str, Any]]:
    """Return the documented public members that Howdah's own classes define, in their order."""
    members: dict[str, Any] = {}
    for base in reversed(found.__mro__):
        if base.__module__.partition(".")[0] == "howdah":
            members |= {name: value for name, value in vars(base).items() if not name.startswith("_")}
    return [(name, value) for name, value in members.items() if _documented(value)]


def _documented(value: Any) -> bool:
    plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    is_member = isinstance(plain, property) or inspect.isfunction(plain) or hasattr(plain, "func")
    return is_member and bool(inspect.getdoc(plain))


def _member(name: str, value: Any) -> list[str]:
    plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    if not inspect.isfunction(plain):
        return [f"#### {name}\n", _text(inspect.getdoc(plain))]
    return [f"#### {name}\n", _code(_definition(name, plain)), _text(inspect.getdoc(plain))]


def _function(name: str, found: Any) -> list[str]:
    if not callable(found):
        return [f"### {name}\n", _text(inspect.getdoc(found))] if not isinstance(found, str | tuple) else []
    short = name.rpartition(".")[2]
    return [f"### {name}\n", _code(_definition(short, found)), _text(inspect.getdoc(found))]


def _definition(name: str, found: Any) -> str:
    word = "async def " if inspect.iscoroutinefunction(found) else "def "
    return word + name.rpartition(".")[2] + _signature(found)


def _signature(found: Any) -> str:
    try:
        text = str(inspect.signature(found))
    except (TypeError, ValueError):
        return ""
    text = re.sub(r"((?:: |-> ))'([^']*)'", r"\1\2", text)
    text = re.sub(r"\(self(, )?", "(", text)
    return text.removesuffix(" -> None") if isinstance(found, type) else text


def _code(line: str) -> str:
    if len(line) > 100:
        line = re.sub(
            r"\((.*)\)", lambda match: "(\n    " + _split(match[1]) + "\n)", line, count=1, flags=re.DOTALL
        )
    return f"```text\n{line}\n```\n"


def _split(arguments: str) -> str:
    """Put each argument on a line of its own."""
    depth, lines = 0, [""]
    for letter in arguments:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            lines.append("")
        else:
            lines[-1] += letter
    return ",\n    ".join(line.strip() for line in lines)


def _text(docstring: str | None) -> str:
    """Return a docstring as Markdown: its examples become blocks."""
    parts: list[str] = []
    for paragraph in re.split(r"\n\s*\n", (docstring or "").strip()):
        if paragraph.lstrip().startswith(">>>"):
            example = re.sub(r" +# doctest:.*", "", inspect.cleandoc(paragraph))
            parts.append(f"```pycon\n{example}\n```")
        elif paragraph.startswith("    "):
            parts.append(f"```text\n{inspect.cleandoc(paragraph)}\n```")
        elif paragraph.strip() != "::":
            parts.append(paragraph)
    return "\n\n".join(parts).replace("\n```\n\n```text\n", "\n\n") + "\n"
