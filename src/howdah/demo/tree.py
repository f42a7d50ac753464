"""What lies below a folder."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = {
    stat.S_IFLNK: "symbolic link",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A path relative to the folder; `skipped` says why it is passed over, None means a regular file."""

    path: bytes
    skipped: str | None = None


def walk(root: bytes) -> Iterator[Entry]:
    """Yield what lies below a folder, links not followed, in the order of the names.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.mkfifo(os.path.join(folder, "pipe"))
    ...     list(walk(os.fsencode(folder)))
    [Entry(path=b'pipe', skipped='FIFO')]
    """
    folders = [b""]
    while folders:
        folder = folders.pop()
        try:
            found = _entries(root, folder)
        except OSError as error:
            yield Entry(folder or b".", f"folder cannot be read: {error.strerror}")
            continue
        below = []
        for name, mode in found:
            path = os.path.join(folder, name)
            if stat.S_ISDIR(mode):
                below.append(path)
            else:
                yield Entry(
                    path, None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")
                )
        folders.extend(reversed(below))


def _entries(root: bytes, folder: bytes) -> list[tuple[bytes, int]]:
    with os.scandir(os.path.join(root, folder)) as entries:
        return sorted((entry.name, _mode(entry)) for entry in entries)


def _mode(entry: os.DirEntry[bytes]) -> int:
    # The folder's listing names the common kinds; only the others cost a look at the file itself.
    try:
        if entry.is_file(follow_symlinks=False):
            return stat.S_IFREG
        if entry.is_dir(follow_symlinks=False):
            return stat.S_IFDIR
        return entry.stat(follow_symlinks=False).st_mode
    except OSError:
        return stat.S_IFREG  # gone or closed to us: its job says why it cannot be read
