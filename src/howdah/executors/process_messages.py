"""What a worker and the process of an isolated task tell each other: JSON documents, one a line."""

from __future__ import annotations

import msgspec

from howdah.models import ClaimedJob  # noqa: TC001 (read when the decoders are made)

__all__ = [
    "Answer",
    "Asked",
    "Begun",
    "End",
    "Line",
    "Message",
    "Raised",
    "Request",
    "Returned",
    "Run",
    "Stop",
    "Unfit",
    "decode_message",
    "decode_request",
    "encode",
]


class Run(msgspec.Struct, tag="run", frozen=True):
    """Run a job with the function that lies at `name` in `module`; both are the worker's own choice."""

    job: ClaimedJob
    module: str
    name: str
    soft_timeout: float | None = None


class Stop(msgspec.Struct, tag="stop", frozen=True):
    """Stop a run: `reason` is soft, timeout, cancel, shutdown or lost."""

    run_id: int
    reason: str


class End(msgspec.Struct, tag="end", frozen=True):
    """End when idle."""


class Line(msgspec.Struct, tag="line", frozen=True):
    """A line that the task has logged."""

    run_id: int
    level: int
    text: str


class Begun(msgspec.Struct, tag="begun", frozen=True):
    """The process has started and begins the run: from now on its timeout counts."""

    run_id: int


class Unfit(msgspec.Struct, tag="unfit", frozen=True):
    """The process cannot run anything."""

    problem: str


class Returned(msgspec.Struct, tag="returned", frozen=True):
    """The task returned this; `committed`: its transaction has recorded that already.

    In every answer: `memory` are the bytes that the process holds, `stopped`: the run was asked to stop.
    """

    run_id: int
    memory: int
    value: msgspec.Raw
    committed: bool = False
    stopped: bool = False


class Asked(msgspec.Struct, tag="asked", frozen=True):
    """The task returned no result but what is to happen: retry, snooze or cancel."""

    run_id: int
    memory: int
    verb: str
    seconds: float | None = None
    reason: str | None = None
    stopped: bool = False


class Raised(msgspec.Struct, tag="raised", frozen=True):
    """The task failed; `interrupted`: only because it was stopped."""

    run_id: int
    memory: int
    kind: str
    message: str
    trace: str | None = None
    final: bool = False
    interrupted: bool = False
    stopped: bool = False


Request = Run | Stop | End
Answer = Returned | Asked | Raised
Message = Line | Begun | Unfit | Returned | Asked | Raised

_encoder = msgspec.json.Encoder()
_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_messages: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode(message: msgspec.Struct) -> bytes:
    """Return a message as a line."""
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Return what a worker has sent."""
    return _requests.decode(line)


def decode_message(line: bytes) -> Message:
    """Return what a process has sent."""
    return _messages.decode(line)
