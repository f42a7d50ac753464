"""How a body becomes a function's arguments."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from howdah.context import Context, RunningJob
from howdah.models import ClaimedJob
from howdah.parameters import Parameters, arguments_in
from howdah.retry import Cancel, Retry, Snooze

if TYPE_CHECKING:
    from nowhere import Unheard  # type: ignore[import-not-found]  # as in users' modules


def typed(id: uuid.UUID, *more: int, at: datetime.date, **rest: float) -> None: ...
def unknown(one: Unheard, two: int) -> None: ...
def with_context(a: int, ctx: Context, b: int = 2) -> None: ...
def with_named_context(*, a: int, ctx: Context) -> None: ...


def context() -> Context:
    claimed = ClaimedJob(7, 8, 1, "t", "default", 0, 60.0, 3, None, None, None, msgspec.Raw(b"null"))
    return Context(RunningJob(claimed))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"args":[1],"kwargs":{"a":2}}', ([1], {"a": 2})),
        ('{"args":[1]}', ([1], {})),
        ('{"kwargs":{"a":2}}', ([], {"a": 2})),
        ("{}", ([], {})),
        ("null", ([], {})),
        ('{"args":5}', ([], {})),
        ('{"args":[1],"order":7}', ([], {})),
        ("[1,2]", ([], {})),
    ],
)
def test_only_a_body_of_arguments_holds_arguments(body: str, expected: tuple[Any, Any]) -> None:
    assert arguments_in(body) == expected


def test_annotations_decide_the_types() -> None:
    args, kwargs = Parameters(typed).bind([str(uuid.UUID(int=1)), 5], {"at": "2026-01-02", "rate": 1})

    assert args == [uuid.UUID(int=1), 5]
    assert kwargs == {"at": datetime.date(2026, 1, 2), "rate": 1.0}


def test_an_annotation_that_cannot_be_found_does_not_hide_the_others() -> None:
    parameters = Parameters(unknown)

    assert parameters.bind([{"x": 1}, 2], {}) == ([{"x": 1}, 2], {})
    with pytest.raises(ValueError, match=r"args\[1\]"):
        parameters.bind([{"x": 1}, "two"], {})


@pytest.mark.parametrize(
    ("args", "kwargs"), [([], {}), (["x"], {"at": "2026-01-02"}), ([str(uuid.UUID(int=1))], {"at": "never"})]
)
def test_what_does_not_fit_is_refused(args: list[Any], kwargs: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Parameters(typed).bind(args, kwargs)


def test_the_context_takes_its_place() -> None:
    found = Parameters(with_context)
    ctx = context()

    assert found.context == "ctx"
    assert found.with_context([1, 3], {}, ctx) == ([1, ctx, 3], {})
    assert found.with_context([], {"a": 1}, ctx) == ([], {"a": 1, "ctx": ctx})
    assert Parameters(with_named_context).with_context([], {"a": 1}, ctx) == ([], {"a": 1, "ctx": ctx})


def test_a_publisher_does_not_give_the_context() -> None:
    Parameters(with_context).check([1], {})
    with pytest.raises(TypeError):
        Parameters(with_context).check([1, 2, 3], {})


@pytest.mark.parametrize(
    ("written", "left"),
    [
        (int | Retry, int),
        (int | None | Snooze | Cancel, int | None),
        (Retry | Snooze, Any),
        (int | str, int | str),
    ],
)
def test_what_a_task_returns_instead_of_a_result_is_no_type_of_its_result(written: Any, left: Any) -> None:
    def task() -> Any: ...

    task.__annotations__["return"] = written
    assert Parameters(task).returns == left
