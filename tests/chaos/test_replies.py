"""Replies are swallowed whole, and only when the server has done what was asked."""

from __future__ import annotations

import pytest

from chaos.replies import Replies


def message(kind: str, payload: bytes = b"") -> bytes:
    return kind.encode() + (len(payload) + 4).to_bytes(4, "big") + payload


READY = message("Z", b"I")
COMMIT = message("C", b"COMMIT\x00")
SELECT = message("C", b"SELECT 1\x00")
ROW = message("D", b"row")


def always(_: bool) -> bool:
    return True


def only_commits(commits: bool) -> bool:
    return commits


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_everything_passes_in_pieces_of_any_size(size: int) -> None:
    replies = Replies(lambda _: False)
    stream = READY + ROW + SELECT + READY + COMMIT + READY
    passed = b"".join(replies.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    assert passed == stream
    assert not replies.cut


def test_the_answer_to_commit_is_lost_and_the_line_is_to_be_cut() -> None:
    replies = Replies(only_commits)
    assert replies.feed(READY + ROW + SELECT + READY) == READY + ROW + SELECT + READY
    assert replies.feed(COMMIT) == b""
    assert not replies.cut
    assert replies.feed(READY) == b""
    assert replies.cut


def test_any_reply_can_be_lost() -> None:
    replies = Replies(always)
    assert replies.feed(READY) == READY
    assert replies.feed(ROW + SELECT + READY) == b""
    assert replies.cut


def test_nothing_is_lost_before_the_session_has_begun() -> None:
    replies = Replies(always)
    begins = message("R", b"\0\0\0\0") + message("S", b"a\0b\0") + READY
    assert replies.feed(begins) == begins


def test_the_answer_to_a_preparation_ends_the_line_at_once() -> None:
    replies = Replies(always)
    assert replies.feed(READY + message("1") + message("t", b"\0\0")) == READY
    assert replies.cut


def test_a_reply_is_lost_to_its_end_before_the_line_is_cut() -> None:
    replies = Replies(always)
    assert replies.feed(READY + message("2") + ROW) == READY
    assert not replies.cut
    replies.feed(SELECT + READY)
    assert replies.cut


def test_a_notification_is_no_reply() -> None:
    asked: list[bool] = []

    def ask(commits: bool) -> bool:
        asked.append(commits)
        return False

    replies = Replies(ask)
    replies.feed(READY + message("A", b"howdah"))
    assert asked == []


def test_nothing_passes_after_the_cut() -> None:
    replies = Replies(always)
    replies.feed(READY + SELECT + READY)
    assert replies.feed(ROW) == b""
