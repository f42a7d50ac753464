"""Settings: defaults < howdah.toml or [tool.howdah] in pyproject.toml < HOWDAH_* < arguments."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from howdah.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Settings", "load_settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set without code.

    `dsn`: the database, as libpq takes it. `app`: `module:attribute` of the app. `data`: folder of the
    embedded server. `queues`: the queues a worker serves, empty for all; with weights as in `high:3`.
    `order`: `strict`, one after the other, or `round-robin`. `labels`: what a worker has. `topic`: a
    pattern of task names. `allow`: packages whose functions a worker may import by name. `imports`: modules
    a worker imports. `processes`: worker processes. `concurrency`: jobs a worker process runs at once.
    `lease`: seconds after which a silent worker is dead. `grace`: seconds running jobs get to end after
    SIGTERM. `recycle_jobs`, `recycle_megabytes`: runs, and resident memory in MiB, after which the process
    of isolated tasks is replaced. `overruns`: threads that went on after their runs had ended, after which
    a worker starts anew. `pooled_transactions`: transactions of tasks (`ctx.connection`) that the workers
    of one machine hold open at a time through a connection pooler.
    """

    dsn: str | None = None
    app: str | None = None
    data: str | None = None
    queues: tuple[str, ...] = ()
    topic: str | None = None
    allow: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    processes: int = 1
    concurrency: int = 10
    lease: float = 15.0
    grace: float = 30.0
    recycle_jobs: int = 1000
    recycle_megabytes: int = 1024
    overruns: int = 10
    pooled_transactions: int = 1
    order: str = "strict"
    labels: tuple[str, ...] = ()

    def given(self, **arguments: Any) -> Settings:
        """Return these settings with the arguments that are not None. Raises `ConfigurationError`.

        >>> Settings().given(concurrency=4, dsn=None).concurrency
        4
        """
        values = {name: value for name, value in arguments.items() if value is not None}
        return replace(self, **_checked(values, "argument"))


_NAMES = frozenset(field.name for field in fields(Settings))
_LISTS = frozenset({"queues", "allow", "imports", "labels"})
_WHOLE = {
    "processes": 1,
    "concurrency": 1,
    "recycle_jobs": 1,
    "recycle_megabytes": 1,
    "overruns": 1,
    "pooled_transactions": 1,
}
_DURATIONS = {"lease": 1.0, "grace": 0.0}


def load_settings(
    folder: Path | None = None, environ: Mapping[str, str] | None = None, **arguments: Any
) -> Settings:
    """Read the settings that hold in a folder (the current one by default).

    Raises `ConfigurationError`, which names the setting and where it was read.

    >>> load_settings(environ={"HOWDAH_QUEUES": "mail,billing"}).queues
    ('mail', 'billing')
    """
    environ = os.environ if environ is None else environ
    settings = Settings()
    for source, values in ((_file(folder or Path.cwd())), ("environment", _environment(environ))):
        settings = replace(settings, **_checked(values, source))
    return settings.given(**arguments)


def _file(folder: Path) -> tuple[str, dict[str, Any]]:
    """Read the nearest settings file of the folder and those above it."""
    for place in (folder, *folder.parents):
        if (own := place / "howdah.toml").is_file():
            return str(own), _read(own)
        if (project := place / "pyproject.toml").is_file():
            return str(project), _read(project).get("tool", {}).get("howdah", {})
        if (place / ".git").exists():
            break
    return "file", {}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    given = {name: environ.get(f"HOWDAH_{name.upper()}") for name in _NAMES}
    return {name: value for name, value in given.items() if value}


def _checked(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    for name in values:
        if name not in _NAMES:
            raise ConfigurationError(f"{source}: there is no setting {name!r}", field=name)
    return {name: _value(name, value, source) for name, value in values.items()}


def _value(name: str, value: Any, source: str) -> Any:
    if name in _LISTS:
        return _listed(name, value, source)
    if name in _WHOLE:
        return _number(name, value, source, int, _WHOLE[name])
    if name in _DURATIONS:
        return _number(name, value, source, float, _DURATIONS[name])
    if not isinstance(value, str | Path):
        raise ConfigurationError(f"{source}: {name} must be text, not {value!r}", field=name)
    return str(value)


def _listed(name: str, value: Any, source: str) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else list(value)
    if not all(isinstance(item, str) for item in items):
        raise ConfigurationError(f"{source}: {name} must be a list of names, not {value!r}", field=name)
    return tuple(item.strip() for item in items if item.strip())


def _number(name: str, value: Any, source: str, kind: type[int] | type[float], least: float) -> float:
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or not least <= number < 1e9:
        raise ConfigurationError(f"{source}: {name} must be at least {least}, not {value!r}", field=name)
    return number
