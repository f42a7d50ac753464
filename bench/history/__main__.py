"""`python -m bench.history [--rows N] [--rounds N] [--only deletes,partitions,indexes,snapshot]`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from bench.history import deletes, indexes, partitions, snapshot
from bench.history.place import Places
from howdah.embedded import binaries
from howdah.embedded.server import start_temporary
from howdah.embedded.settings import SERVER

if TYPE_CHECKING:
    from collections.abc import Callable

_PARTS: dict[str, Callable[[Places, int, int], dict[str, object]]] = {
    "indexes": indexes.measure,
    "snapshot": snapshot.measure,
    "partitions": partitions.measure,
    "deletes": deletes.measure,
}


def main() -> None:
    """Measure on a durable server of its own that leaves nothing behind; needs 4 GB for 10⁷ rows."""
    parser = argparse.ArgumentParser(prog="python -m bench.history", description=__doc__)
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=10_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default=",".join(_PARTS))
    parser.add_argument("--folder", type=Path, help="where the server's files lie meanwhile")
    options = parser.parse_args()
    with start_temporary(binaries(18), 18, SERVER, options.folder) as server:
        places = Places(server.dsn())
        for name in options.only.split(","):
            figures = _PARTS[name](places, options.rows, options.rounds)
            print(json.dumps({name: figures}, indent=2), flush=True)


if __name__ == "__main__":
    main()
