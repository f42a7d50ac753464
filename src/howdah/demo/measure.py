"""Bytes, lines, words and SHA-256 of one file, read once, in chunks."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import BinaryIO

from howdah.demo.words import WordCounter

CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Measures:
    """What `wc -c`, `wc -l`, `wc -w` and `sha256sum` say about a file."""

    bytes: int
    lines: int
    words: int
    sha256: str


def measure(path: bytes, *, printable_only: bool = False) -> Measures:
    """Measure a regular file; `printable_only` chooses the rule for words (see `words`).

    Raises OSError when the file cannot be read, also when it is no regular file any more.
    """
    with _open_regular(path) as file:
        return _measure(file, WordCounter(printable_only=printable_only))


def _open_regular(path: bytes) -> BinaryIO:
    # The path was a regular file when it was listed. By now it may be a link (O_NOFOLLOW refuses) or a FIFO,
    # on which a plain open would wait for a writer forever (O_NONBLOCK does not).
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("no regular file any more")
        return open(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def _measure(file: BinaryIO, words: WordCounter) -> Measures:
    digest = hashlib.sha256()
    size = lines = 0
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
        lines += chunk.count(b"\n")
        words.feed(chunk)
    return Measures(size, lines, words.words, digest.hexdigest())
