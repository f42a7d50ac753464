"""Values to JSON and back.

Encoding is one pass of msgspec; only a document that might hold something PostgreSQL refuses or msgspec
alters (NaN becomes null, NUL, deep nesting) is looked at a second time.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from howdah.errors import InvalidInput

__all__ = [
    "BODY_LIMIT",
    "DEPTH_LIMIT",
    "HEADERS_LIMIT",
    "NULL",
    "Document",
    "bodies",
    "convert",
    "decode",
    "document",
    "encode",
    "encode_body",
    "rows",
]

BODY_LIMIT = 1024 * 1024
HEADERS_LIMIT = 16 * 1024
DEPTH_LIMIT = 64


class Document(str):
    """Text that is JSON already, so that a driver does not encode it again."""

    __slots__ = ()


NULL = Document("null")
_SEQUENCES = frozenset({tuple, list})


def _encode_unusual(value: Any) -> Any:
    if isinstance(value, pathlib.PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _decode_unusual(kind: type, value: Any) -> Any:
    if kind is object:
        return value
    if isinstance(kind, type) and issubclass(kind, pathlib.PurePath) and isinstance(value, str):
        return kind(value)
    raise TypeError(f"a JSON value does not become {getattr(kind, '__name__', kind)}")


_encoder = msgspec.json.Encoder(enc_hook=_encode_unusual)
_decoder = msgspec.json.Decoder()


def encode(value: Any, *, field: str, limit: int = BODY_LIMIT) -> bytes:
    """Encode a value as JSON; refuse what PostgreSQL cannot keep or JSON cannot say.

    `field` is the name a refusal gives to the value, `limit` its largest size in bytes.
    Raises `InvalidInput`.

    >>> encode({"at": 1.5}, field="body")
    b'{"at":1.5}'
    """
    try:
        encoded = _encoder.encode(value)
    except UnicodeEncodeError:
        raise InvalidInput(f"{field} holds text with a lone surrogate", field=field) from None
    except RecursionError:
        raise _too_deep(field) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"{field} cannot be written as JSON: {error}", field=field) from None
    if len(encoded) > limit:
        raise InvalidInput(f"{field} has {len(encoded)} bytes of JSON, the limit is {limit}", field=field)
    if _suspicious(encoded):
        _inspect(_plain(value, field), field, 0)
    return encoded


def document(value: Any, *, field: str, limit: int = BODY_LIMIT) -> Document:
    """Encode a value as JSON text for a database call; like `encode`.

    >>> document([1, None], field="meta")
    '[1,null]'
    """
    return Document(encode(value, field=field, limit=limit).decode())


def encode_body(args: Any, kwargs: Any) -> bytes:
    """Encode a task's arguments as a job's body; a refusal names the argument.

    Raises `InvalidInput`.

    >>> encode_body([1, 2], {})
    b'{"args":[1,2]}'
    """
    try:
        return encode({"args": args, "kwargs": kwargs} if kwargs else {"args": args}, field="body")
    except InvalidInput:
        for position, value in enumerate(args):
            encode(value, field=f"args[{position}]")
        for name, value in kwargs.items():
            encode(value, field=f"kwargs.{name}")
        raise


def bodies(arguments: Sequence[Any]) -> Document:
    """Encode jobs' arguments, a sequence (positional) or a mapping (by name) each, as an array of bodies.

    Raises `InvalidInput`, which names the job and the argument.

    >>> bodies([(1, 2), {"a": 1}])
    '[{"args":[1,2]},{"kwargs":{"a":1}}]'
    """
    encoded = []
    if not isinstance(arguments, Iterable):
        raise InvalidInput("arguments must be a sequence with one element for each job", field="arguments")
    for position, each in enumerate(arguments):
        try:
            body = {"args": each} if type(each) in _SEQUENCES else named(each)
            encoded.append(encode(body, field="body"))
        except InvalidInput as error:
            name = f"jobs[{position}]"
            raise InvalidInput(f"{name}: {error.message}", field=name) from None
    return Document(f"[{b','.join(encoded).decode()}]")


def parts(document: Document) -> list[msgspec.Raw]:
    """Return the elements of an array, still encoded.

    >>> [bytes(part) for part in parts(Document('[1,{"a":2}]'))]
    [b'1', b'{"a":2}']
    """
    return msgspec.json.decode(str(document), type=list[msgspec.Raw])


def rows(entries: Sequence[Mapping[str, Any]]) -> Document:
    """Encode objects whose values are plain or documents already.

    >>> rows([{"task": "a", "body": Document("[1]")}])
    '[{"task":"a","body":[1]}]'
    """
    raw = msgspec.Raw
    plain = [
        {name: raw(value.encode()) if type(value) is Document else value for name, value in entry.items()}
        for entry in entries
    ]
    return Document(_encoder.encode(plain).decode())


def named(arguments: Any) -> dict[str, Any]:
    """Return one job's arguments as the part of a body that they are. Raises `InvalidInput`."""
    if isinstance(arguments, Mapping):
        return {"kwargs": arguments}
    if isinstance(arguments, Sequence) and not isinstance(arguments, str | bytes):
        return {"args": arguments}
    raise InvalidInput("must be a sequence or a mapping of arguments")


def decode(text: str | bytes | msgspec.Raw) -> Any:
    """Decode JSON text.

    >>> decode('{"a": [1]}')
    {'a': [1]}
    """
    return _decoder.decode(str(text) if isinstance(text, Document) else text)


def convert(value: Any, annotation: Any) -> Any:
    """Turn a decoded JSON value into what an annotation asks for.

    Raises `msgspec.ValidationError` (a ValueError) when it does not fit.

    >>> import uuid
    >>> convert("12345678-1234-5678-1234-567812345678", uuid.UUID)
    UUID('12345678-1234-5678-1234-567812345678')
    """
    if annotation is Any or type(value) is annotation:
        return value
    return msgspec.convert(value, annotation, builtin_types=(), dec_hook=_decode_unusual)


def _suspicious(encoded: bytes) -> bool:
    # NaN and infinity are encoded as null without a word, so every null is worth a look.
    if b"null" in encoded or b"\\u0000" in encoded:
        return True
    return len(encoded) > DEPTH_LIMIT and encoded.count(b"[") + encoded.count(b"{") > DEPTH_LIMIT


def _plain(value: Any, field: str) -> Any:
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=_encode_unusual)
    except RecursionError:
        raise _too_deep(field) from None


def _inspect(value: Any, field: str, depth: int) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise InvalidInput(f"{field} holds a NUL character, which PostgreSQL cannot store", field=field)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"{field} holds {value}, which JSON cannot say", field=field)
    elif isinstance(value, dict):
        _descend(value.values(), field, depth)
        _descend(value.keys(), field, depth)
    elif isinstance(value, list | tuple | set | frozenset):
        _descend(value, field, depth)


def _descend(values: Any, field: str, depth: int) -> None:
    if depth >= DEPTH_LIMIT:
        raise _too_deep(field)
    for value in values:
        _inspect(value, field, depth + 1)


def _too_deep(field: str) -> InvalidInput:
    return InvalidInput(f"{field} is nested deeper than {DEPTH_LIMIT} levels", field=field)
