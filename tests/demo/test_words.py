"""Words, chunk by chunk, as `wc` of this machine counts them."""

from __future__ import annotations

import os
import random
import subprocess
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from howdah.demo.words import WordCounter, local_wc_counts_printable_only


def words_of_wc(data: bytes) -> int:
    answer = subprocess.run(
        ["wc", "-w"], input=data, capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"}
    )
    return int(answer.stdout)


def count(chunks: list[bytes], *, printable_only: bool) -> int:
    counter = WordCounter(printable_only=printable_only)
    for chunk in chunks:
        counter.feed(chunk)
    return counter.words


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"word",
        b"two words\n",
        b"a\tb\nc\vd\fe\rf",
        b"\x00\x01\x02",
        b"\xff \xfe \x80a\x81 \x7f",
        "naïve café ok".encode(),
        bytes(range(256)),
        random.Random(1).randbytes(65536),
    ],
    ids=lambda data: f"{len(data)}-{zlib.crc32(data):x}",
)
def test_words_are_those_of_the_local_wc(data: bytes) -> None:
    assert count([data], printable_only=local_wc_counts_printable_only()) == words_of_wc(data)


@given(
    data=st.binary(max_size=80) | st.text(alphabet="ab \n\t\x00é", max_size=80).map(str.encode),
    cuts=st.lists(st.integers(0, 80), max_size=6),
    printable_only=st.booleans(),
)
def test_where_the_chunks_are_cut_changes_nothing(data: bytes, cuts: list[int], printable_only: bool) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[start:end] for start, end in pairwise(places)]
    assert b"".join(chunks) == data
    assert count(chunks, printable_only=printable_only) == count([data], printable_only=printable_only)


def test_bytes_outside_ascii_are_letters_under_the_newer_rule_and_nothing_under_the_older() -> None:
    assert count([b"\x01 \x80\x81 a\x01b"], printable_only=False) == 3
    assert count([b"\x01 \x80\x81 a\x01b"], printable_only=True) == 1
