"""What the walk finds, and what it passes over."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from howdah.demo.tree import Entry, walk


def test_regular_files_come_in_the_order_of_their_names_at_any_depth(tmp_path: Path) -> None:
    for name in ("b", "a/z", "a/b/c", "c/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    assert list(walk(os.fsencode(tmp_path))) == [
        Entry(b"b"),
        Entry(b"a/z"),
        Entry(b"a/b/c"),
        Entry(b"c/.hidden"),
    ]


def test_links_fifos_and_sockets_are_passed_over_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert list(walk(os.fsencode(tmp_path))) == [
            Entry(b"dangling", "symbolic link"),
            Entry(b"loop", "symbolic link"),
            Entry(b"pipe", "FIFO"),
            Entry(b"socket", "socket"),
        ]


def test_devices_are_passed_over() -> None:
    kinds = {entry.path: entry.skipped for entry in walk(b"/dev")}
    assert kinds[b"null"] == "character device"


def test_names_that_are_no_text_are_found(tmp_path: Path) -> None:
    names = [b"caf\xe9", b"line\nbreak", b'quo"te', b"\xff\xfe"]
    for name in names:
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).touch()
    assert [entry.path for entry in walk(os.fsencode(tmp_path))] == sorted(names)


def test_a_folder_that_vanished_is_told_and_the_walk_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "file").touch()
    (tmp_path / "first").touch()
    found = walk(os.fsencode(tmp_path))
    first = next(found)
    (tmp_path / "a").rmdir()
    assert [first, *found] == [
        Entry(b"first"),
        Entry(b"a", "folder cannot be read: No such file or directory"),
        Entry(b"b/file"),
    ]
