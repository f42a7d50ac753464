"""`python -m bench`: prepare, measure, report."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.options import parse
from bench.report.record import PeerRecord, Record, describe_machine
from bench.report.summary import print_summary
from bench.report.write import write
from bench.run import measure
from bench.stages import prepare_stands
from bench.stores import Postgres
from bench.workloads import NAMES, WORKLOADS

if TYPE_CHECKING:
    from bench.options import Options


def main() -> None:
    """Run what the command line asks for."""
    # SIGTERM unwinds like Ctrl-C: processes end, the servers go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = parse(sys.argv[1:], NAMES)
    record = run(options)
    print_summary(record)
    if options.report is not None:
        print(write(record, options.report.parent, options.report.name))


def run(options: Options) -> Record:
    """Measure and return the record."""
    load, began = os.getloadavg()[0], time.monotonic()
    failures: list[str] = []
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres.start())
        stands = prepare_stands(options.peers, postgres, stack, failures, renew=options.renew)
        workloads = [workload for workload in WORKLOADS if options.sizes.wanted & set(workload.names)]
        figures = list(measure(stands, workloads, options, failures))
        server = postgres.shown()
    return Record(
        day=time.strftime("%Y-%m-%d"),
        commit=_commit(),
        command=shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        machine=describe_machine(),
        server=server,
        rounds=max((figure.round for figure in figures), default=0),
        sizes={name: value for name, value in asdict(options.sizes).items() if name != "wanted"},
        minutes=round((time.monotonic() - began) / 60, 1),
        load=round(load, 1),
        peers={
            stand.peer.name: PeerRecord(
                stand.peer.title, stand.peer.configuration, dict(stand.environment.versions)
            )
            for stand in stands
        },
        figures=figures,
        failures=failures,
    )


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(asked, capture_output=True, text=True)
    return done.stdout.strip() or "?"


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
