"""File names travel as text and come back as the same bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from howdah.demo.paths import PathText


@given(st.binary(max_size=60).map(lambda name: name.replace(b"\0", b"")))
def test_every_name_comes_back_byte_for_byte(name: bytes) -> None:
    text = PathText.from_bytes(name)
    assert text.to_bytes() == name
    assert text.text.encode().decode() == text.text


def test_a_name_in_utf_8_stays_as_it_is_percent_signs_included() -> None:
    assert PathText.from_bytes("100%.txt\n“ü”".encode()) == PathText("100%.txt\n“ü”")


def test_a_name_that_is_not_utf_8_is_percent_escaped_and_says_so() -> None:
    assert PathText.from_bytes(b"dir with space/caf\xe9 100%") == PathText(
        "dir with space/caf%E9 100%25", escaped=True
    )
