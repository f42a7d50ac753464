"""Count words in bytes, as `LC_ALL=C wc -w` of this machine does.

All versions agree on what parts words: space, tab, newline, vertical tab, form feed, carriage return.
They differ on other bytes outside printable ASCII: GNU wc before 9.4 lets them neither begin nor part
a word, later versions and other systems count them as letters. On text there is no difference.
"""

from __future__ import annotations

import os
import shutil
import subprocess

_SPACES = b" \t\n\v\f\r"
_IGNORED = bytes(set(range(256)) - set(range(0x20, 0x7F)) - set(_SPACES))


class WordCounter:
    """Count the words of a stream of chunks.

    `printable_only`: bytes outside printable ASCII neither begin nor part a word.

    >>> counter = WordCounter()
    >>> for chunk in (b"one tw", b"o", b" three"): counter.feed(chunk)
    >>> counter.words
    3
    """

    __slots__ = ("_ignored", "_inside", "words")

    def __init__(self, *, printable_only: bool = False) -> None:
        self.words: int = 0
        self._inside = False
        self._ignored = _IGNORED if printable_only else b""

    def feed(self, chunk: bytes) -> None:
        """Count the words that begin in the next chunk."""
        if self._ignored:
            chunk = chunk.translate(None, self._ignored)
        if not chunk:
            return
        begins_inside_word = self._inside and chunk[0] not in _SPACES
        self.words += len(chunk.split()) - begins_inside_word
        self._inside = chunk[-1] not in _SPACES


def local_wc_counts_printable_only() -> bool:
    """Tell which of the two rules the `wc` of this machine follows; without a `wc`, the newer one."""
    wc = shutil.which("wc")
    if wc is None:
        return False
    answer = subprocess.run(  # noqa: S603  the program is the one on the user's PATH, the input is ours
        [wc, "-w"],
        input=b"\x01\n",
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    return answer.stdout.strip() == b"0"
