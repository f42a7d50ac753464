"""What a worker of a test has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from howdah.app import Howdah

__all__ = ["labels_of"]


def labels_of(app: Howdah) -> tuple[str, ...]:
    """Return all labels that an app's tasks require: a test has everything."""
    return tuple(sorted({label for task in app.tasks for label in task.defaults.requires or ()}))
