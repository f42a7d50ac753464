"""Values of each type of PostgreSQL's, as the text that stands for them: usual, extreme and mean."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

Values = st.SearchStrategy[str | None]

_MEAN = (
    "",
    " ",
    "\n",
    "%",
    "_",
    "\\",
    "'",
    '"',
    "'; drop table howdah.job; --",
    "${jndi}",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "\u202e\U0001f418",
    "\U0010ffff",
    "é" * 200,
    "a" * 200,
    "a" * 201,
    "a.b\n",
    "null",
    "NaN",
    "-1",
    "0",
    "1e999",
    "9" * 18,
    "9" * 19,
    "9" * 400,
    "x" * 70_000,
)
# PostgreSQL's own text holds neither NUL nor surrogates: no caller can hand them to a function.
_alphabet = st.characters(codec="utf-8", exclude_characters="\x00")
text: st.SearchStrategy[str] = st.one_of(st.sampled_from(_MEAN), st.text(_alphabet, max_size=30))
texts: Values = st.one_of(st.none(), text)

names: st.SearchStrategy[str] = st.sampled_from(
    ("fuzz.any", "fuzz.number", "fuzz.odd", "unknown.task", "q", "default")
)
topics: Values = st.one_of(st.sampled_from(("%", "fuzz.%", "f_zz.%", "\\", "%%%%%%")), texts)
keys: st.SearchStrategy[str] = st.sampled_from(tuple(f"key {number}" for number in range(8)))
# Small ones are numbers of jobs and runs that exist: each database counts from 1.
counts: st.SearchStrategy[str] = st.integers(1, 120).map(str)
job_ids: Values = st.one_of(keys, counts, counts, texts)

_HUGE = (2**31 - 1, 2**31, 2**63 - 1, 10**400)


def integers(bits: int) -> Values:
    """Return whole numbers that fit into so many bits."""
    limit = 2 ** (bits - 1)
    edges = [str(n) for n in (-limit, -limit + 1, -1, 0, 1, 10_000, 10_001, limit - 1)]
    return st.one_of(
        st.none(), counts, counts, st.sampled_from(edges), st.integers(-limit, limit - 1).map(str)
    )


numerics: Values = st.one_of(
    st.none(),
    st.sampled_from(
        ("0", "0.001", "0.0009999", "-0", "-1", "-2", "1e-300", "1e300", "1e131071", "-1e131071")
    ),
    st.sampled_from(
        ("NaN", "Infinity", "-Infinity", "315576000", "315576001", "3155760000", "3155760001", "60")
    ),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-10, max_value=10_000).map(str),
)
moments: Values = st.one_of(
    st.none(),
    st.sampled_from(
        ("infinity", "-infinity", "294276-12-31 23:59:59.999999+00", "4713-01-01 00:00:00+00 BC")
    ),
    st.sampled_from(("epoch", "now", "1970-01-01", "2000-02-29", "0001-01-01 00:00:00+15:59", "9999-12-31")),
    st.datetimes().map(str),
)
intervals: Values = st.one_of(
    st.none(),
    st.sampled_from(
        ("0", "-1 s", "1 s", "1 day", "178000000 years", "-178000000 years", "infinity", "-infinity")
    ),
    st.sampled_from(
        ("2147483647 days", "2562047788 hours", "1 mon -30 days", "-1 mon +31 days", "6000 years")
    ),
)
booleans: Values = st.sampled_from(("true", "false", None))

_scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    text,
    names,
    keys,
)
json_values: st.SearchStrategy[Any] = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)),
    max_leaves=12,
)


def nested(levels: int) -> str:
    """Return a JSON document so deep."""
    return "[" * levels + "]" * levels


_documents = (
    nested(64),
    nested(65),
    nested(900),
    '{"a":' * 64 + "1" + "}" * 64,
    json.dumps("x" * (2**20 - 2)),
    json.dumps("x" * 2**20),
    "1e131071",
    "1e-16383",
    "null",
    '""',
    json.dumps({"args": [10**4200]}),
    json.dumps({str(number): number for number in range(3000)}),
)
_small = (
    "{}",
    '{"args": []}',
    '{"args": [7], "kwargs": {"b": 0.5}}',
    '{"args": 7}',
    '{"kwargs": {"a": {}}}',
    '{"args": [1e400]}',
    '{"h": null}',
    "[]",
)
# The extreme ones are large: one in eight.
_usual: Values = st.one_of(st.sampled_from(_small), json_values.map(json.dumps))
documents: Values = st.one_of(st.none(), _usual, _usual, st.one_of(_usual, st.sampled_from(_documents)))


def arrays(items: Values, max_size: int = 4) -> Values:
    """Return arrays of values, some of an odd shape, or with nulls."""
    plain = st.lists(items, max_size=max_size)
    return st.one_of(
        st.none(),
        plain.map(_array),
        plain.map(_array),
        st.lists(items, min_size=2, max_size=2).map(lambda pair: f"[3:4]={_array(pair)}"),
        st.lists(items, min_size=1, max_size=3).map(lambda row: f"{{{_array(row)},{_array(row)}}}"),
        items.map(lambda item: _array([item] * 101)),
    )


def _array(items: list[str | None]) -> str:
    return f"{{{','.join('NULL' if item is None else _quoted(item) for item in items)}}}"


def _quoted(item: str) -> str:
    escaped = item.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
