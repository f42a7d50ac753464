"""What a worker may import: the app it was given, and functions under packages it was told to allow."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import TYPE_CHECKING, Any

from howdah.errors import ConfigurationError, TaskNotAllowed
from howdah.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["import_attribute", "import_function", "import_module", "is_allowed"]


def is_allowed(name: str, packages: Sequence[str]) -> bool:
    """Tell whether a dotted name lies under one of the packages.

    >>> is_allowed("shop.mails.send", ["shop"]), is_allowed("shopping.send", ["shop"])
    (True, False)
    """
    return any(name.startswith(f"{package}.") for package in packages)


def import_function(name: str, packages: Sequence[str]) -> Task[..., Any]:
    """Import the function that a job names. Raises `TaskNotAllowed`, which says why it is none.

    Only a public function that an allowed package defines itself: a name it merely imported (`os.system`)
    is as forbidden under its roof as elsewhere.
    """
    module_name, _, attribute = name.rpartition(".")
    if not is_allowed(name, packages) or any(part.startswith("_") for part in name.split(".")):
        raise TaskNotAllowed(f"{name} is not a registered task and not under an allowed package")
    try:
        found = getattr(importlib.import_module(module_name), attribute, None)
    except Exception as error:
        raise TaskNotAllowed(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
    if isinstance(found, Task):
        return found
    if not inspect.isfunction(found):
        raise TaskNotAllowed(f"{name} is not a function")
    if found.__module__ not in packages and not is_allowed(found.__module__, packages):
        raise TaskNotAllowed(f"{name} is defined in {found.__module__}, which is not allowed")
    return Task(found, name=name)


def import_module(name: str) -> Any:
    """Import a module, also from the current folder. Raises `ConfigurationError`."""
    _see_current_folder()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing and (name == missing or name.startswith(f"{missing}.")):
            raise ConfigurationError(f"there is no module {name!r} here") from None
        raise ConfigurationError(f"module {name!r} cannot be imported: {error}") from error
    except Exception as error:
        raise ConfigurationError(
            f"module {name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def import_attribute(path: str, kind: type | Callable[..., Any]) -> Any:
    """Import `module:attribute` (`app` when only the module is given) and check its type.

    Raises `ConfigurationError`.
    """
    module_name, _, attribute = path.partition(":")
    found = import_module(module_name)
    for part in (attribute or "app").split("."):
        found = getattr(found, part, None)
    if isinstance(kind, type) and not isinstance(found, kind):
        raise ConfigurationError(f"{path!r} is not a {kind.__name__}", hint="write module:attribute")
    return found


def _see_current_folder() -> None:
    # A console script has its own folder in sys.path, not the one it is called in.
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
