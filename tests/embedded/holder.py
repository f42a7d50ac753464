"""A process that uses an embedded server and obeys one order a line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psycopg

from howdah.embedded import Server, acquire, acquire_temporary


def started_at(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select pg_postmaster_start_time()::text").fetchone()
    assert row is not None
    return str(row[0])


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def end_a_forked_child(server: Server) -> str:
    child = os.fork()
    if child == 0:
        server.release()
        os._exit(0)
    os.waitpid(child, 0)
    return "child ended"


def come_and_go(data: str) -> None:
    for _ in range(15):
        with acquire(Path(data)) as server:
            started_at(server.dsn())


def main(where: str) -> None:
    server = acquire_temporary() if where == ":temporary:" else acquire(Path(where) if where else None)
    say(str(server.home))
    for line in sys.stdin:
        match line.strip():
            case "query":
                answer = started_at(server.dsn())
            case "shared":
                answer = started_at(server.ensure_database("shared"))
            case "fork":
                answer = end_a_forked_child(server)
            case _:
                server.release()
                answer = "released"
        say(answer)


if __name__ == "__main__":
    main(sys.argv[1])
