"""How a function's parameters take a job's body: decided once for each function."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from howdah.context import Context
from howdah.errors import InvalidInput
from howdah.json import convert, decode, document
from howdah.retry import Cancel, Retry, Snooze

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Parameters", "arguments_in"]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


_body_decoder = msgspec.json.Decoder(_Body)


def arguments_in(body: msgspec.Raw | bytes | str) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments that a body holds; a body of any other form holds none.

    >>> arguments_in('{"args": [1]}')
    ([1], {})
    >>> arguments_in('{"order": 7}')
    ([], {})
    """
    try:
        found = _body_decoder.decode(body)
    except msgspec.ValidationError:
        return [], {}
    return found.args, found.kwargs


class Parameters:
    """The parameters of one function, without the one that takes the `Context`.

    >>> def greet(name: str, times: int = 1): ...
    >>> Parameters(greet).bind(["Ann"], {"times": 2})
    (['Ann'], {'times': 2})
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        signature = inspect.signature(function)
        annotations = {
            parameter.name: _annotation(parameter.annotation, function)
            for parameter in signature.parameters.values()
        }
        self.context: str | None = next((name for name, kind in annotations.items() if kind is Context), None)
        self.returns: Any = _without_outcomes(_annotation(signature.return_annotation, function))
        left = [parameter for name, parameter in signature.parameters.items() if name != self.context]
        self._signature = signature.replace(parameters=left)
        self._context_position = self._position_of_context(signature)
        self._positional = [annotations[p.name] for p in left if p.kind in _POSITIONAL]
        self._named = {p.name: annotations[p.name] for p in left if p.kind is not p.POSITIONAL_ONLY}
        self._rest = _annotation_of_kind(left, annotations, inspect.Parameter.VAR_POSITIONAL)
        self._other_names = _annotation_of_kind(left, annotations, inspect.Parameter.VAR_KEYWORD)
        self._simple = self._simple_count(left)
        self._plain = all(kind is Any for kind in annotations.values() if kind is not Context)

    def __str__(self) -> str:
        """Return the parameters and the result as they are written."""
        return str(self._signature)

    def takes(self, name: str) -> bool:
        """Whether the function has a parameter of this name."""
        return name in self._signature.parameters

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError when the function does not take these arguments."""
        if kwargs or len(args) != self._simple:
            self._signature.bind(*args, **kwargs)

    def bind(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return decoded JSON as the arguments that the annotations ask for.

        Raises TypeError or ValueError, which say what does not fit.
        """
        self.check(args, kwargs)
        if self._plain:
            return args, kwargs
        converted = [self._converted(self._kind_at(i), value, f"args[{i}]") for i, value in enumerate(args)]
        if not kwargs:
            return converted, kwargs
        return converted, {
            name: self._converted(self._named.get(name, self._other_names), value, name)
            for name, value in kwargs.items()
        }

    def choice(self, unique: bool | Sequence[str] | Mapping[str, Any]) -> bool | Mapping[str, Any]:
        """Return where a body has the arguments that make it unique, for the database: places and defaults.

        All of them for True. Raises `InvalidInput` for one that the function does not take.

        >>> def greet(name: str, *, times: int = 1): ...
        >>> Parameters(greet).choice(["name", "times"])
        {'name': [0], 'times': [None, 1]}
        """
        known = self._signature.parameters
        open_ended = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in known.values())
        if not unique or isinstance(unique, Mapping) or (unique is True and open_ended):
            return bool(unique) if isinstance(unique, bool) else cast("Mapping[str, Any]", unique or False)
        chosen = {}
        for name in known if unique is True else unique:
            if name in known and known[name].kind not in (
                inspect.Parameter.VAR_POSITIONAL,
                inspect.Parameter.VAR_KEYWORD,
            ):
                chosen[name] = self._place_of(known[name])
            elif open_ended:
                chosen[name] = []
            else:
                raise InvalidInput(f"unique names {name!r}, which the task does not take", field="unique")
        return chosen

    def _place_of(self, parameter: inspect.Parameter) -> list[Any]:
        positional = [p.name for p in self._signature.parameters.values() if p.kind in _POSITIONAL]
        place = positional.index(parameter.name) if parameter.name in positional else None
        if parameter.default is parameter.empty:
            return [] if place is None else [place]
        try:
            return [place, decode(document(parameter.default, field="unique"))]
        except InvalidInput:  # never in a body either
            return [place, None]

    def in_place(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Return arguments by place as far as the function takes them so.

        >>> Parameters(lambda ids, at=0: None).in_place([], {"ids": [7]})
        (([7],), {})
        """
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:
            return args, kwargs
        return bound.args, bound.kwargs

    def filled(self, template: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Return a concurrency key with arguments in place of their names. Raises `InvalidInput`.

        >>> Parameters(lambda customer, year=2026: None).filled("{customer} in {year}", ["Ann"], {})
        'Ann in 2026'
        """
        try:
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return template.format_map(bound.arguments)
        except (TypeError, KeyError, IndexError, ValueError, AttributeError) as error:
            message = f"concurrency_key {template!r} does not fit the arguments: {error}"
            raise InvalidInput(message, field="concurrency_key") from error

    def with_context(
        self, args: list[Any], kwargs: dict[str, Any], context: Context
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments with the context in its place, for a function that takes one."""
        if self._context_position is not None and len(args) >= self._context_position:
            place = self._context_position
            return [*args[:place], context, *args[place:]], kwargs
        return args, {**kwargs, str(self.context): context}

    def _kind_at(self, position: int) -> Any:
        return self._positional[position] if position < len(self._positional) else self._rest

    def _converted(self, annotation: Any, value: Any, name: str) -> Any:
        try:
            return convert(value, annotation)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name}: {error}") from None

    def _position_of_context(self, signature: inspect.Signature) -> int | None:
        for position, parameter in enumerate(signature.parameters.values()):
            if parameter.name == self.context:
                return position if parameter.kind in _POSITIONAL else None
        return None

    @staticmethod
    def _simple_count(left: Sequence[inspect.Parameter]) -> int:
        """Return how many positional arguments need no further check, -1 when every call needs one."""
        needed = [p for p in left if p.kind in _POSITIONAL and p.default is p.empty]
        only_by_name = [p for p in left if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
        return -1 if only_by_name else len(needed)


def _annotation_of_kind(
    parameters: Sequence[inspect.Parameter], annotations: Mapping[str, Any], kind: Any
) -> Any:
    return next((annotations[p.name] for p in parameters if p.kind is kind), Any)


def _without_outcomes(annotation: Any) -> Any:
    """Leave out of `int | Retry` what a task returns instead of a result."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation
    results = tuple(kind for kind in typing.get_args(annotation) if kind not in (Retry, Snooze, Cancel))
    return typing.Union[results] if results else Any  # noqa: UP007  made from what is left


def _annotation(annotation: Any, function: Callable[..., Any]) -> Any:
    if annotation is inspect.Parameter.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation
    # One at a time: a name that only a type checker knows must not hide the others.
    module = sys.modules.get(getattr(function, "__module__", ""))
    holder = type("holder", (), {"__annotations__": {"it": annotation}})
    names = {**vars(typing), **(vars(module) if module else {}), "Context": Context}
    names |= getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(holder, globalns=names, include_extras=True)["it"]
    except Exception:
        return Any
