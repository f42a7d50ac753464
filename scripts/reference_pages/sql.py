"""The page of the schema `jobs`: its functions, views and types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from howdah.embedded import acquire_temporary
from howdah.migrate import migrate

_QUERIES = Path(__file__).parent
_GROUPS = {
    "Publish": ("publish", "publish_many", "publish_bulk"),
    "Consume": ("consume", "consume_topic", "ack", "nack", "snooze", "release", "heartbeat"),
    "Look": ("get", "list", "why", "failures", "logs", "wait", "wait_for", "stats", "fsck"),
    "Control": (
        "cancel",
        "retry",
        "delete",
        "pause_queue",
        "resume_queue",
        "set_queue",
        "purge_queue",
        "prune",
        "maintain",
    ),
}
_JOB_VIEWS = ("job_queue", "job", "running", "expired", "all")
_REST = "For workers and clients"
_INTRODUCTION = """\
# SQL reference

The schema `jobs` is the public API: functions and views, called from psql, triggers, PostgREST or any
driver. Howdah's own clients call the same functions. Parameters can be given by position or by name
(`i_task => 'mail.send'`); null means *not given*. Delays, timeouts and ttls are seconds, times are
`timestamptz`. `job_id` is the key that was given at publish, else the number as text. Errors:
[errors](errors.md). Who may call what: below each function, and on the page [roles and
grants](../how-to/roles-and-grants.md).
"""


@dataclass(frozen=True, slots=True)
class Schema:
    """What the catalog says about the schema."""

    routines: list[dict[str, Any]]
    relations: list[dict[str, Any]]
    raisers: list[dict[str, Any]]


def read() -> Schema:
    """Migrate a temporary server and read its catalog."""
    with acquire_temporary() as server:
        dsn = server.ensure_database("reference")
        migrate(dsn)
        with psycopg.connect(dsn, row_factory=dict_row) as connection:
            rows = [
                connection.execute((_QUERIES / f"{name}.sql").read_bytes()).fetchall()
                for name in ("routines", "relations", "raisers")
            ]
    return Schema(*rows)


def page(schema: Schema) -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    _share_comments(schema.relations)
    for title, routines in _grouped(schema.routines).items():
        parts += [f"## {title}\n", *map(_routine, routines)]
    for title, is_view in (("Views", True), ("Types", False)):
        parts += [f"## {title}\n", *(_relation(one) for one in schema.relations if one["is_view"] is is_view)]
    return "\n".join(parts)


def _share_comments(relations: list[dict[str, Any]]) -> None:
    """Give the views of jobs each other's comments: their columns are the same, and commented on once."""
    views = [one for name in _JOB_VIEWS for one in relations if one["name"] == name]
    known: dict[str, str] = {}
    for view in views:
        for column in view["columns"]:
            column[2] = column[2] or known.get(column[0], "")
            known.setdefault(column[0], column[2])


def _grouped(routines: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    place = {name: (title, number) for title, names in _GROUPS.items() for number, name in enumerate(names)}
    found: dict[str, list[dict[str, Any]]] = {title: [] for title in (*_GROUPS, _REST)}
    for routine in sorted(routines, key=lambda one: place.get(one["name"], ("", 0))[1]):
        found[place.get(routine["name"], (_REST, 0))[0]].append(routine)
    return found


def _routine(routine: dict[str, Any]) -> str:
    name = f"jobs.{routine['name']}"
    result = "" if routine["is_procedure"] else f"\n    → {_type(routine['result'])}"
    roles = ", ".join(f"`{role}`" for role in routine["roles"]) or "only the owner"
    signature = f"{name}({_arguments(routine['arguments'])}){result}"
    comment = routine["comment"] or ""
    return f"### {name}\n\n```text\n{signature}\n```\n\n{comment}\n\nMay be called by: {roles}.\n"


def _arguments(text: str) -> str:
    arguments = [_argument(one) for one in text.split(", ") if one]
    line = ", ".join(arguments)
    return line if len(line) <= 90 else "\n" + ",\n".join(f"    {one}" for one in arguments)


def _argument(text: str) -> str:
    name, _, default = text.partition(" DEFAULT ")
    if not default:
        return name
    value = re.sub(r"::[a-z ]+(\[\])?$", "", default)
    return f"{name} = {value.lower() if value == 'NULL' else value}"


def _type(text: str) -> str:
    return text.replace("TABLE(", "table (").replace("SETOF ", "setof ").replace('"all"', "all")


def _relation(relation: dict[str, Any]) -> str:
    described = any(comment for _, _, comment in relation["columns"])
    head = "| column | type | |\n|---|---|---|" if described else "| column | type |\n|---|---|"
    rows = [
        f"| `{name}` | {_type(kind)} |" + (f" {comment} |" if described else "")
        for name, kind, comment in relation["columns"]
    ]
    return "\n".join([f"### jobs.{relation['name']}\n", relation["comment"] or "", "", head, *rows, ""])
