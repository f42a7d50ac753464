"""Partitions by number: dropping one, and what having them costs everybody else."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psycopg

from bench.history.place import Place, Places, median

_PARTS = 10
_TIMES = 1_000


def measure(places: Places, rows: int, rounds: int) -> dict[str, object]:
    """Look up and record with 1 and 10 partitions, in turns; then drop one, also while somebody reads."""
    place = places.make("partitions")
    place.run(Path(__file__).with_name("partitions.sql").read_text("utf-8"))
    for parts in (1, _PARTS):
        place.run(f"call scratch.make({parts}, {rows})")
        place.run(f"call scratch.fill({parts}, {rows})")
    place.run("vacuum analyze")
    place.run("checkpoint")
    figures: dict[str, object] = _costs(place, rows, rounds)
    figures |= _drop(place, rows)
    figures["drop beside a reader"] = _drop_beside_a_reader(place)
    places.drop("partitions")
    return figures


def _costs(place: Place, rows: int, rounds: int) -> dict[str, object]:
    spent: dict[str, list[float]] = {}
    after = rows
    for _ in range(rounds):
        for parts in (1, _PARTS):
            for name, call in (
                ("look up 100", f"call scratch.look_up({parts}, {_TIMES}, {rows})"),
                ("record 100", f"call scratch.record({parts}, {_TIMES}, {after})"),
            ):
                began = place.processor()
                place.run(call)
                spent.setdefault(f"{name}, {parts} partitions, µs", []).append(
                    (place.processor() - began) / _TIMES * 1e6
                )
        after += _TIMES * 100 + 100
    return {name: median(values) for name, values in spent.items()}


def _drop(place: Place, rows: int) -> dict[str, object]:
    share = rows // _PARTS
    log, began = place.log_position(), time.perf_counter()
    place.run("begin")
    place.run(f"call scratch.keep({share})")
    copied = time.perf_counter()
    place.run("drop table scratch.job10_0; drop table scratch.finished10_0; commit")
    ended = time.perf_counter()
    return {
        "rows dropped": share,
        "copy of what stays, s": round(copied - began, 2),
        "drop, ms": round((ended - copied) * 1000),
        "bytes of log for each row": round((place.log_position() - log) / share, 1),
    }


def _drop_beside_a_reader(place: Place) -> dict[str, object]:
    """Publish all the time, while a dump reads and a drop waits for it for at most a second."""
    longest: list[float] = []
    stop = threading.Event()
    writer = place.beside()

    def publish() -> None:
        number = 10**11
        while not stop.is_set():
            number += 1
            began = time.perf_counter()
            writer.value("insert into scratch.job10 (id, task, created_at) values (%s, 'a', now())", number)
            longest.append(time.perf_counter() - began)

    with psycopg.connect(place.dsn) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("select from scratch.job10 limit 1")
        thread = threading.Thread(target=publish)
        thread.start()
        time.sleep(1)
        before = max(longest)
        longest.clear()
        place.run("set lock_timeout = '1 s'")
        try:
            place.run("drop table scratch.job10_1")
            ended = "dropped"
        except psycopg.errors.LockNotAvailable:
            ended = "gave up"
        stop.set()
        thread.join()
    writer.connection.close()
    return {
        "the drop": ended,
        "longest publish before, ms": round(before * 1000, 1),
        "longest publish meanwhile, ms": round(max(longest) * 1000),
    }
