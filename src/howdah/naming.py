"""A task's name: its module and qualified name."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from howdah.arguments import shown
from howdah.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_name", "module_of", "task_name"]

_NAME = re.compile(r"[A-Za-z0-9_.:\-]{1,200}\Z")


def check_name(name: str, *, field: str = "task") -> str:
    """Return the name of a task or queue when it is one. Raises `InvalidInput`.

    >>> check_name("shop.mails.send_welcome")
    'shop.mails.send_welcome'
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise InvalidInput(
            f"{field}: {shown(name)} is not a valid name",
            field=field,
            hint="1 to 200 letters, digits, _ . : or -",
        )
    return name


def task_name(function: Callable[..., Any]) -> str:
    """Return the name under which a function is published. Raises `InvalidInput` for one without a name.

    The module of a script run as `__main__` is its file's stem, so that a worker that imports it agrees.

    >>> task_name(check_name)
    'howdah.naming.check_name'
    """
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str) or "<lambda>" in name:
        raise InvalidInput(f"{shown(function)} has no name of its own", field="task", hint="give name=")
    return check_name(f"{module_of(function)}.{name.replace('.<locals>', '')}")


def module_of(function: Callable[..., Any]) -> str:
    """Return the module that a function can be imported from.

    >>> module_of(check_name)
    'howdah.naming'
    """
    module = function.__module__
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    specification = getattr(main, "__spec__", None)
    if specification is not None:  # python -m package.module
        return str(specification.name).removesuffix(".__main__")
    return Path(getattr(main, "__file__", None) or "__main__").stem
