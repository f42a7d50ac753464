"""One file measured, and files that cannot be."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from howdah.demo.measure import CHUNK, Measures, measure
from howdah.demo.words import local_wc_counts_printable_only

if TYPE_CHECKING:
    from pathlib import Path


def reference(path: Path) -> Measures:
    """What the machine's own tools say."""
    lines, words, size = said_by("wc", "-lwc", path)[:3]
    return Measures(int(size), int(lines), int(words), said_by("sha256sum", path)[0].decode())


def said_by(*command: str | Path) -> list[bytes]:
    return subprocess.run(
        command, capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"}
    ).stdout.split()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no newline at the end",
        b"two\nlines\n",
        os.urandom(3 * CHUNK + 17),
        b"word " * (CHUNK // 2),
        b"\r\n" * 100,
    ],
    ids=["empty", "unended", "text", "binary", "long", "dos"],
)
def test_a_file_has_the_numbers_of_wc_and_sha256sum(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert measure(os.fsencode(file), printable_only=local_wc_counts_printable_only()) == reference(file)


def test_a_link_is_refused_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("secret")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(OSError, match="symbolic links"):
        measure(os.fsencode(tmp_path / "link"))


def test_a_fifo_that_took_the_files_place_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file any more"):
        measure(os.fsencode(tmp_path / "pipe"))


def test_a_socket_and_a_device_are_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="No such device"):
            measure(os.fsencode(tmp_path / "socket"))
    with pytest.raises(OSError, match="no regular file any more"):
        measure(b"/dev/zero")


def test_a_large_file_is_read_in_bounded_memory(tmp_path: Path) -> None:
    file = tmp_path / "sparse"
    with file.open("wb") as sparse:
        sparse.truncate(256 * 1024 * 1024)
    script = (
        "import resource, sys; from howdah.demo.measure import measure;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        f"assert measure({os.fsencode(file)!r}).bytes == 268435456;"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before;"
        "print(grown // (1 if sys.platform == 'linux' else 1024))"
    )
    grown = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout
    assert int(grown) < 32 * 1024, f"{grown} KiB"
