"""Values to JSON and back: what survives, and what is refused by name."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import pathlib
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from howdah import json
from howdah.errors import InvalidInput


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    label: str | None = None


MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (uuid.UUID(int=7), uuid.UUID),
        (MOMENT, datetime.datetime),
        (datetime.date(2026, 1, 2), datetime.date),
        (datetime.timedelta(hours=1, microseconds=1), datetime.timedelta),
        (decimal.Decimal("0.10"), decimal.Decimal),
        (Colour.RED, Colour),
        (Point(1, "a"), Point),
        ({1, 2}, set[int]),
        (b"\x00\xff", bytes),
        ((1, "a"), tuple[int, str]),
        ([Point(1)], list[Point]),
        ({"a": MOMENT}, dict[str, datetime.datetime]),
        (pathlib.Path("/tmp/x"), pathlib.Path),
        (2**70, int),
        (None, int | None),
    ],
)
def test_a_value_comes_back_through_its_annotation(value: object, kind: Any) -> None:
    text = json.document(value, field="result")

    assert json.convert(json.decode(text), kind) == value


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (math.nan, "nan"),
        ({"a": [None, math.inf]}, "inf"),
        (Point(1, "a\x00b"), "NUL"),
        ({"a\x00": 1}, "NUL"),
        ("\ud800", "surrogate"),
        (nested(65), "deeper than 64"),
        (nested(100_000), "deeper than 64"),
        ("x" * (1024 * 1024), "limit"),
        (object(), "object has no JSON form"),
        ({(1, 2): 3}, "JSON"),
    ],
    ids=range(10),
)
def test_what_cannot_be_kept_is_refused_with_the_fields_name(value: object, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as caught:
        json.encode(value, field="meta")

    assert caught.value.field == "meta"
    assert caught.value.message.startswith("meta ")


def test_text_that_only_looks_like_an_escaped_nul_is_accepted() -> None:
    assert json.decode(json.encode("\\u0000", field="body")) == "\\u0000"


def test_nothing_and_64_levels_are_accepted() -> None:
    assert json.encode([None], field="body") == b"[null]"
    assert json.decode(json.encode(nested(64), field="body")) == nested(64)


def test_a_refused_argument_is_named() -> None:
    with pytest.raises(InvalidInput) as positional:
        json.encode_body([1, math.nan], {})
    with pytest.raises(InvalidInput) as named:
        json.encode_body([1], {"rate": math.inf})

    assert positional.value.field == "args[1]"
    assert named.value.field == "kwargs.rate"


def test_a_refused_job_of_many_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        json.bodies([(1,), {"a": "\x00"}])

    assert caught.value.field == "jobs[1]"


def test_text_is_no_list_of_arguments() -> None:
    with pytest.raises(InvalidInput, match="sequence or a mapping"):
        json.bodies(["ab"])


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(plain)
def test_every_value_is_refused_or_comes_back_as_it_was(value: Any) -> None:
    try:
        text = json.document(value, field="body")
    except InvalidInput:
        return

    assert json.decode(text) == value
    assert "\\u0000" not in text.replace("\\\\", "")
