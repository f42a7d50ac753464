"""The Python API with arguments of every kind, on every face: awaited with asyncpg and psycopg, and sync."""

from __future__ import annotations

import datetime
import decimal
import inspect
import json
import uuid
from asyncio import to_thread
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from hypothesis import strategies as st

from howdah import Howdah
from howdah._async.app import AsyncApp
from howdah._async.job import AsyncJob
from howdah._async.task import AsyncTask
from howdah.errors import DatabaseError, HowdahError, InvalidInput
from proofs.fuzz import values
from proofs.fuzz.tasks import RESULTS, app_on

if TYPE_CHECKING:
    from collections.abc import Mapping

Owner = Literal["app", "task", "job", "consumed"]
Face = Literal["asyncpg", "psycopg", "sync"]
Strategy = st.SearchStrategy[Any]


class _Text(str):
    __slots__ = ()


_odd: Strategy = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from((2**15, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400)),
    st.floats(),
    st.sampled_from((float("nan"), float("inf"), 1e308, 5e-324, -0.0)),
    st.text(max_size=20),
    st.sampled_from(("a\x00b", "\ud800", "\udfff", "x" * 201, "\x1b[0m", "'; --", "\u202e", _Text("q"))),
    st.binary(max_size=8),
    st.datetimes(),
    st.sampled_from((datetime.datetime.max, datetime.datetime.min, datetime.date.max, datetime.time.max)),
    st.sampled_from((datetime.timedelta.max, datetime.timedelta.min, datetime.timedelta(microseconds=1))),
    st.sampled_from(
        (decimal.Decimal("NaN"), decimal.Decimal("1e400"), 1j, uuid.UUID(int=0), Ellipsis, object)
    ),
    # by number: Hypothesis shows what it samples from, and some of these cannot be shown
    st.integers(0, len(RESULTS) - 1).map(RESULTS.__getitem__),
)
_nested: Strategy = st.recursive(
    _odd,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers()), inner, max_size=3),
    ),
    max_leaves=6,
)
_moments: Strategy = st.one_of(
    st.datetimes(timezones=st.just(datetime.UTC)),
    st.sampled_from(
        (
            datetime.datetime.max.replace(tzinfo=datetime.UTC),
            datetime.datetime.min.replace(tzinfo=datetime.UTC),
            datetime.datetime.max.replace(tzinfo=datetime.timezone(-datetime.timedelta(hours=23))),
            datetime.datetime.min.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=23))),
        )
    ),
    _odd,
)
_durations: Strategy = st.one_of(st.sampled_from((0, 0.5, 60, datetime.timedelta(seconds=1))), _odd)
_numbers: Strategy = st.one_of(st.integers(-5, 50), _odd)
_names: Strategy = st.one_of(values.names, values.names, _odd)
_OPTIONS: dict[str, Strategy] = {
    "queue": _names,
    "max_retries": _numbers,
    "timeout": _durations,
    "priority": _numbers,
    "backoff": st.one_of(st.lists(_durations, max_size=3), _odd),
    "ttl": _durations,
    "result_ttl": _durations,
    "failure_ttl": _durations,
    "delay": _durations,
    "scheduled_at": _moments,
    "key": st.one_of(values.keys, _odd),
    "headers": st.one_of(st.dictionaries(st.text(max_size=5), _odd, max_size=2), _nested),
    "meta": _nested,
    "concurrency_key": st.one_of(values.keys, _odd),
    "concurrency_limit": _numbers,
    "slots": _numbers,
    "at_front": st.one_of(st.booleans(), _odd),
    "tenant": _names,
    "requires": st.one_of(st.lists(_names, max_size=2), _odd),
    "depends_on": st.one_of(st.lists(_odd, max_size=2), st.sampled_from((1, "nobody")), _odd),
    "allow_failure": st.one_of(st.booleans(), _odd),
    "unique": st.one_of(st.booleans(), st.sampled_from(("a", ["a"], {"a": [0]})), _nested),
    "unique_key": st.one_of(values.keys, _odd),
    "unique_mode": st.one_of(st.sampled_from(("skip", "replace", "merge", "reject")), _odd),
    "unique_until": st.one_of(st.sampled_from(("waiting", "started", "finished")), _odd),
    "unique_for": _durations,
}
_options: Strategy = st.fixed_dictionaries({}, optional=_OPTIONS)
_arguments: Strategy = st.lists(_nested, max_size=3)
# Names of options and of the methods' own parameters are no arguments of a task.
_named: Strategy = st.dictionaries(st.sampled_from(("a", "b", "größe", "x\x00")), _nested, max_size=2)


def _drawn(**strategies: Strategy) -> Strategy:
    return st.fixed_dictionaries({}, optional=strategies)


# What each method is given by position, and by name.
METHODS: Final[dict[tuple[Owner, str], tuple[Strategy, Strategy]]] = {
    ("app", "publish"): (
        st.tuples(_names, _nested),
        st.builds(
            lambda more, options: more | options,
            _drawn(args=st.one_of(_arguments, st.tuples(_nested)), kwargs=st.one_of(st.none(), _named)),
            _options,
        ),
    ),
    ("app", "consume"): (
        st.tuples(_numbers),
        _drawn(
            topic=_names,
            queues=st.one_of(st.lists(_names, max_size=2), _odd),
            labels=st.one_of(st.lists(_names, max_size=2), _odd),
        ),
    ),
    ("task", "publish"): (st.builds(tuple, _arguments), st.just({})),
    ("task", "options"): (st.just(()), _options),
    ("task", "publish_many"): (
        st.tuples(st.one_of(st.lists(st.one_of(_arguments, _named, _odd), max_size=4), _odd)),
        st.just({}),
    ),
    ("job", "info"): (st.just(()), st.just({})),
    ("job", "status"): (st.just(()), st.just({})),
    ("job", "why"): (st.just(()), st.just({})),
    ("job", "relatives"): (st.tuples(_numbers), st.just({})),
    ("job", "failures"): (st.just(()), st.just({})),
    ("job", "logs"): (st.tuples(_numbers), st.just({})),
    # A number that ends at once: an odd one would wait for ever, as it says.
    ("job", "result"): (st.tuples(st.sampled_from((0, 0.0, -1, 0.001))), st.just({})),
    ("job", "cancel"): (st.tuples(_odd), st.just({})),
    ("job", "retry"): (st.just(()), st.just({})),
    ("job", "delete"): (st.just(()), _drawn(force=_odd)),
    ("job", "ack"): (st.tuples(_nested), st.just({})),
    ("job", "nack"): (
        st.tuples(st.one_of(st.sampled_from((ValueError("a\x00"), ValueError("\ud800"))), _odd)),
        _drawn(delay=_durations, scheduled_at=_moments, kind=_names, final=_odd),
    ),
    ("job", "snooze"): (st.tuples(_durations), st.just({})),
    ("job", "release"): (st.just(()), st.just({})),
}
# Public and not called with odd values, each for a reason.
LEFT_OUT: Final[Mapping[str, str]] = {
    "execute": "takes a Call, which the methods make",
    "publish_task": "what task.publish calls",
    "publish_task_many": "what task.publish_many calls",
    "close": "takes nothing",
    "run": "takes a ConsumedJob, which consume makes: the worker runs the same bodies",
}


def public_methods() -> set[str]:
    """Return the names of everything that is awaited on an app, a task or a job."""
    return {
        name
        for owner in (AsyncApp, AsyncTask, AsyncJob)
        for name, member in inspect.getmembers(owner, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }


@dataclass(frozen=True, slots=True)
class ClientCase:
    """One call of a method."""

    owner: Owner
    method: str
    subject: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    face: Face

    def __str__(self) -> str:
        return f"{self.face} {self.owner}({self.subject!r}).{self.method}{_shown((self.args, self.kwargs))}"


@st.composite
def client_cases(draw: st.DrawFn) -> ClientCase:
    """Draw a method, what it is called on, and what it is given."""
    owner, method = draw(st.sampled_from(_WEIGHTED))
    args, kwargs = METHODS[owner, method]
    task = draw(st.sampled_from(("fuzz.any", "fuzz.odd")))
    subject = draw(st.one_of(values.job_ids.filter(bool), _ODD_IDS)) if owner == "job" else task
    face = draw(st.sampled_from(_FACES))
    return ClientCase(owner, method, str(subject), draw(args), draw(kwargs), face)


_FACES: tuple[Face, ...] = ("asyncpg", "psycopg", "sync")
_ODD_IDS = st.sampled_from(("a\x00b", "\ud800", "x" * 100_000))
_WEIGHTED = [
    key for key in METHODS for _ in range(6 if key[1] in ("publish", "publish_many", "options") else 1)
]


class Client:
    """Apps for each face, in one event loop."""

    def __init__(self, dsn: str) -> None:
        self._apps: dict[str, Howdah] = {face: app_on(dsn) for face in ("asyncpg", "sync")}
        psycopg = app_on(dsn)
        self._apps["psycopg"] = Howdah(dsn, settings=psycopg.settings, driver="psycopg")
        self._apps["psycopg"].include(psycopg.tasks)

    async def close(self) -> None:
        """Close all connections."""
        for app in self._apps.values():
            await app.close()
            await to_thread(app.close_sync)

    async def problem(self, case: ClientCase) -> str | None:
        """Make the call; return what is wrong with how it ends."""
        try:
            await self._call(case)
        except HowdahError as error:
            return _wrong(case, error)
        except Exception as error:
            return f"{type(error).__name__}: {error!s:.200}: {case}"
        return None

    async def _call(self, case: ClientCase) -> None:
        app = self._apps[case.face]
        subject: Any = app
        if case.owner == "task":
            subject = next(task for task in app.tasks if task.name == case.subject)
        elif case.owner == "job":
            subject = app.job(case.subject)
        if case.method == "options":
            subject, name, args, kwargs = subject.options(**case.kwargs), "publish", (7,), {}
        else:
            name, args, kwargs = case.method, case.args, case.kwargs
        if case.face == "sync":
            await to_thread(getattr(subject, f"{name}_sync"), *args, **kwargs)
        else:
            await getattr(subject, name)(*args, **kwargs)


def _wrong(case: ClientCase, error: HowdahError) -> str | None:
    if type(error) is HowdahError or isinstance(error, DatabaseError):
        return f"{type(error).__name__} {error.sqlstate} {error!s:.200}: {case}"
    if isinstance(error, InvalidInput) and not error.field:
        return f"InvalidInput names no field: {error!s:.200}: {case}"
    return None


def _shown(value: Any) -> str:
    try:
        return repr(value)[:300]
    except Exception:
        return json.dumps("something that has no repr")
