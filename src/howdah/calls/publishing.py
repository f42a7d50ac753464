"""Calls that publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from howdah import json, rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from howdah.json import Document
    from howdah.models import (
        PublishedJob,
    )

from howdah.calls.call import Call, given

__all__ = [
    "merged",
    "publish",
    "publish_all",
    "publish_each",
]


def publish(task: str, body: Document | None = None, **options: Any) -> Call[PublishedJob]:
    """Publish one job; the options are those of `TaskOptions.given`."""
    return Call("publish", given(task=task, body=body, **_documents(options)), rows.one_published)


def publish_each(task: str, bodies: Document, **options: Any) -> Call[list[int]]:
    """Publish one job for each body, all or none; the answer is their numbers."""
    return Call("publish_each", given(task=task, bodies=bodies, **_documents(options)), rows.scalar)


def publish_all(task: str, bodies: Document, **options: Any) -> Call[list[int]]:
    """Publish one job for each body, all or none, with options that `publish_each` does not have.

    >>> publish_all("a", json.Document("[1,2]"), depends_on=["7"]).arguments["i_jobs"]
    '[{"task":"a","depends_on":["7"],"body":1},{"task":"a","depends_on":["7"],"body":2}]'
    """
    same = {"task": task, **_documents(options)}
    jobs = json.rows([{**same, "body": body} for body in json.parts(bodies)])
    return Call("publish_many", {"i_jobs": jobs}, rows.numbers)


def merged(publishes: Sequence[Call[PublishedJob]]) -> Call[list[PublishedJob]]:
    """Return one call that publishes what several would, all or none.

    >>> merged([publish("a"), publish("b", priority=5)]).arguments["i_jobs"]
    '[{"task":"a"},{"task":"b","priority":5}]'
    """
    jobs = json.rows([{name[2:]: value for name, value in call.arguments.items()} for call in publishes])
    return Call("publish_many", {"i_jobs": jobs}, rows.all_published)


def _documents(options: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(options)
    if "headers" in values:
        values["headers"] = json.document(values["headers"], field="headers", limit=json.HEADERS_LIMIT)
    if "meta" in values:
        values["meta"] = json.document(values["meta"], field="meta")
    if "unique" in values:
        values["unique"] = json.document(values["unique"], field="unique")
    return values
