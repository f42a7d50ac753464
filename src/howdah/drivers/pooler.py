"""Which DSNs lead to a connection pooler instead of to PostgreSQL itself.

A pooler gives its clients keys for cancelling of its own, so that the process id in a connection's key is not
that of the server process that answers. Behind a pooler, whatever its mode, nothing is expected of a session:
nothing is prepared, nobody listens, nothing is reset.
"""

from __future__ import annotations

__all__ = ["OTHER_PROCESS", "drops_options", "is_pooled", "note_pooler", "refused_options"]

# Gives a row when another process answers than the one named in the connection's key.
OTHER_PROCESS = "select where pg_backend_pid() <> {}"
# What PgBouncer says of a startup parameter that it does not know.
_REFUSAL = "unsupported startup parameter"

# By DSN; the values tell whether the pooler takes no options at the start of a session. Found out once: a DSN
# that led to a pooler is treated so until the program ends, which costs little where it is wrong.
_poolers: dict[str, bool] = {}


def is_pooled(dsn: str) -> bool:
    """Tell whether a DSN is known to lead to a pooler."""
    return dsn in _poolers


def drops_options(dsn: str) -> bool:
    """Tell whether nothing must be set at the start of a session."""
    return _poolers.get(dsn, False)


def note_pooler(dsn: str) -> None:
    """Remember that a DSN leads to a pooler."""
    _poolers.setdefault(dsn, False)


def refused_options(dsn: str, error: Exception, *, gave: bool) -> bool:
    """Tell whether connecting failed because the pooler takes no options; from now on none are given.

    `gave` tells whether the attempt gave any.

    >>> refused_options("service=doc", OSError("ERROR: unsupported startup parameter: options"), gave=True)
    True
    >>> drops_options("service=doc")
    True
    """
    if not gave or _REFUSAL not in str(error):
        return False
    _poolers[dsn] = True
    return True
