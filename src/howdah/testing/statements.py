"""The SQL of the tests' databases, as files."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "sql"


def read(name: str, **names: str) -> bytes:
    """Return the text of one file, with other names in the place of `"howdah_test_…"`.

    >>> b"shop_1" in read("drop", clone="shop_1")
    True
    """
    text = (_FOLDER / f"{name}.sql").read_text("utf-8")
    for placeholder, chosen in names.items():
        quoted = chosen.replace('"', '""')
        text = text.replace(f'"howdah_test_{placeholder}"', f'"{quoted}"')
    return text.encode()
