"""Single jobs that the harness itself publishes, written down as a publisher would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from chaos.journal import digest

if TYPE_CHECKING:
    from chaos.journal import Journal
    from chaos.observer import Observer


async def publish_job(
    observer: Observer, journal: Journal, task: str, token: str, *, expect: str = "succeeded"
) -> int:
    """Publish a job however long the server is away, and return its number. `token` is its key, too."""
    journal.write(
        "publish",
        call=token,
        tokens=[token],
        key=token,
        task=task,
        mode="plain",
        expect=[expect],
        digests=[digest({"token": token})],
        max_retries=None,
        cancels=False,
    )
    body = msgspec.json.encode({"args": [], "kwargs": {"token": token}}).decode()
    rows = await observer.rows(
        "select id, created from jobs.publish(%s, %s::jsonb, i_key => %s)", [task, body, token]
    )
    ((job, created),) = rows
    journal.write("ok", call=token, answers=[{"job": job, "created": created}])
    return int(job)
