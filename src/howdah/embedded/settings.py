"""The settings of embedded servers; a user changes them with ALTER SYSTEM, which wins over these."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Everything about durability stays as PostgreSQL has it. The log names no statement: they carry arguments.
SERVER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "max_connections": "200",
        "shared_buffers": "128MB",
        "max_wal_size": "1GB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        "log_min_error_statement": "panic",
        "log_checkpoints": "off",
        "password_encryption": "scram-sha-256",
    }
)
# Its data dies with it, so nothing is gained by waiting for the disk.
TEMPORARY: Final[Mapping[str, str]] = MappingProxyType(
    {**SERVER, "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
)
