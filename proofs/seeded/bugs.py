"""The bugs beside those of `tests/model/mutants.py`: in Python, and in SQL where the model cannot look."""

from __future__ import annotations

from typing import Final

from proofs.seeded.bug import Bug

_LIFE = "tests/worker/test_life_of_a_worker.py::"
_PROCESSES = "tests/worker/test_processes.py::"
_RUNS = "tests/worker/test_outcomes_of_runs.py::"
_ENDS = "tests/worker/test_ends_of_a_worker.py::"
_LEASE = "tests/worker/test_lease.py::"
_WRITES = "tests/worker/test_transactions.py"
_SQL = "src/howdah/sql/functions/"
_RUNNER = "src/howdah/worker/runner.py"
_PIPELINE = "src/howdah/worker/pipeline.py"

BUGS: Final = (
    Bug(
        "nobody rescues the runs of a worker that has gone",
        (1,),
        f"{_SQL}39_rescue.sql",
        "where b.beat_at + make_interval(secs => w.lease) < v_judged or howdah.has_gone(w, b.beat_at, i_now)",
        "where false",
        ("tests/sql/test_workers.py",),
    ),
    Bug(
        "what is lost before it starts is started all the same",
        (4,),
        _RUNNER,
        "            self._drop_waiting(unstarted)",
        "            pass",
        (f"{_LEASE}test_a_run_that_is_taken_away_before_it_starts_never_starts",),
    ),
    Bug(
        "a dead worker is taken for alive when another one has its name",
        (2,),
        f"{_SQL}37_workers.sql",
        "    return v_id;\nend;\n$$;\n\ncomment on function jobs.worker_started",
        "    update howdah.beat b set beat_at = v_now from howdah.worker w"
        " where w.id = b.worker_id and w.name = coalesce(i_name, 'worker');\n"
        "    return v_id;\nend;\n$$;\n\ncomment on function jobs.worker_started",
        ("tests/sql/test_names_of_workers.py",),
    ),
    Bug(
        "of a dead worker only one run is handed back before its row goes",
        (3,),
        f"{_SQL}38_deaths.sql",
        "where r.worker_id = i_worker_id order by r.run_id\n    loop",
        "where r.worker_id = i_worker_id order by r.run_id limit 1\n    loop",
        ("tests/sql/test_workers.py",),
    ),
    Bug(
        "a worker that is cut off goes on when its lease is over",
        (4, 10),
        _RUNNER,
        "        if self.lease.over():\n            self._fence()",
        "        if False:\n            self._fence()",
        (f"{_LEASE}test_a_worker_that_is_cut_off_stops_its_runs_when_its_lease_is_over",),
    ),
    Bug(
        "nobody says that the event loop is blocked",
        (5,),
        "src/howdah/worker/heartbeat.py",
        "                self._watch_the_loop()\n",
        "",
        (f"{_PROCESSES}test_a_task_that_blocks_the_event_loop_keeps_its_lease_and_is_named_in_the_log",),
    ),
    Bug(
        "the slot of a thread that goes on is given away",
        (6,),
        _RUNNER,
        '        """The slots that are taken, also by what was abandoned and has not ended."""\n'
        "        return len(self.runs) + self._threads.abandoned",
        '        """The slots that are taken, also by what was abandoned and has not ended."""\n'
        "        return len(self.runs)",
        (f"{_RUNS}test_a_thread_that_takes_too_long_keeps_its_slot_until_it_ends",),
    ),
    Bug(
        "timeouts are not watched",
        (6,),
        _RUNNER,
        "if run.stop is None and now >= run.deadline:",
        "if False:",
        (f"{_RUNS}test_a_coroutine_that_takes_too_long_is_cancelled",),
    ),
    Bug(
        "a process's death costs no attempt",
        (7,),
        f"{_SQL}38_deaths.sql",
        "howdah.deaths_alone(v_run) >= 2, howdah.now()));",
        "false, howdah.now()));",
        ("tests/worker/test_process_deaths.py::test_a_death_costs_an_attempt_and_the_third_is_the_last",),
    ),
    Bug(
        "outcomes of an exchange that failed are forgotten",
        (8, 35),
        _PIPELINE,
        "    async def _after_failure(self, handed: Sequence[Outcome], problem: str) -> None:\n"
        "        self._runner.outcomes[:0] = handed\n",
        "    async def _after_failure(self, handed: Sequence[Outcome], problem: str) -> None:\n",
        (f"{_LIFE}test_outcomes_survive_an_outage",),
    ),
    Bug(
        "a worker that cannot listen is deaf for ever",
        (9,),
        "src/howdah/worker/doorbell.py",
        "                await self._listen()\n                waiting.reset()\n",
        "                waiting.reset()\n",
        (f"{_LIFE}test_a_sleeping_worker_is_woken_by_a_publish",),
    ),
    Bug(
        "asyncpg's sockets are not watched for a peer that is gone",
        (10,),
        "src/howdah/drivers/asyncpg.py",
        "    _watch_for_a_dead_peer(connection)\n    return",
        "    return",
        (f"{_LEASE}test_every_driver_notices_a_peer_that_is_gone",),
    ),
    Bug(
        "after a commit without an answer nobody looks whether it happened",
        (11,),
        "src/howdah/worker/transaction.py",
        "return row is not None and row.finished and row.run_id == self._job.run_id",
        "return False",
        (f"{_WRITES}::test_a_commit_whose_answer_is_lost_is_recognised",),
    ),
    Bug(
        "of several hosts any will do",
        (12, 34),
        "src/howdah/drivers/conninfo.py",
        '("read-write" if several else None)',
        "None",
        ("tests/unit/test_conninfo.py",),
    ),
    Bug(
        "a server that is read-only for now is an error for good",
        (12,),
        "src/howdah/errors.py",
        '_TRANSIENT = {"25006", ',
        "_TRANSIENT = {",
        ("tests/unit/test_errors.py",),
    ),
    Bug(
        "psycopg prepares statements behind a transaction pooler",
        (13,),
        "src/howdah/drivers/psycopg_values.py",
        '"prepare_threshold": None',
        '"prepare_threshold": 0',
        ("tests/pooler/test_clients.py",),
    ),
    Bug(
        "chores look at everything each time, however dear that is under an old snapshot",
        (14,),
        f"{_SQL}39_chores.sql",
        "howdah.search_from('howdah.search_scheduled', i_now)",
        "'-infinity'::timestamptz",
        ("tests/plans/test_held_snapshot.py",),
    ),
    Bug(
        "every publish rings",
        (15,),
        f"{_SQL}30_doorbell.sql",
        "    elsif exists (select from howdah.sleeper s where s.state = 'front') then\n"
        "        select array_agg",
        "    else\n        perform pg_notify('howdah', '');\n        select array_agg",
        ("tests/race/test_doorbell.py::test_nobody_rings_while_nobody_sleeps",),
    ),
    Bug(
        "a publish rings for everybody who sleeps",
        (16,),
        f"{_SQL}30_doorbell.sql",
        "(p.queue is null or w.queues is null or howdah.queue_of(p.queue) = any (w.queues))",
        "true",
        ("tests/race/test_doorbell.py::test_a_worker_of_another_queue_is_left_asleep",),
    ),
    Bug(
        "a server without a free connection is an error for good",
        (17, 18),
        "src/howdah/errors.py",
        '_TRANSIENT_CLASSES = ("08", "53", "57")',
        '_TRANSIENT_CLASSES = ("08", "57")',
        ("tests/unit/test_errors.py",),
    ),
    Bug(
        "keys are inserted in the order given",
        (19,),
        f"{_SQL}31_publish.sql",
        'where g.key is not null order by g.key collate "C", g.id',
        "where g.key is not null order by g.id",
        ("tests/race/test_key_order.py",),
    ),
    Bug(
        "a claim takes one more than asked",
        (20,),
        f"{_SQL}32_claim.sql",
        "limit i_num",
        "limit i_num + 1",
        ("tests/race/test_claims.py::test_a_claim_takes_exactly_what_was_asked_whatever_the_caller_has_set",),
        times=2,
    ),
    Bug(
        "a key whose job is gone is told of as if it were there",
        (22,),
        f"{_SQL}31_publish.sql",
        "return query select p.* from howdah.publish_jobs(array[v_job]) p;\n        else",
        "return query select howdah.public_id(v_id, v_job.key), v_id, 'ready'::text, false;\n        else",
        ("tests/race/test_claims.py::test_a_key_whose_job_is_deleted_meanwhile_is_published_after_all",),
    ),
    Bug(
        "time stands still within a transaction",
        (25,),
        f"{_SQL}10_clock.sql",
        "    return clock_timestamp();",
        "    return now();",
        ("tests/sql/test_time.py",),
    ),
    Bug(
        "headers may be anything, also what stops every worker",
        (26,),
        f"{_SQL}12_input.sql",
        "if jsonb_typeof(i_job.headers) not in ('object', 'null') then",
        "if false then",
        ("tests/sql/test_bad_input.py", "-k", "headers"),
    ),
    Bug(
        "NUL, NaN and depth are left to PostgreSQL",
        (26,),
        "src/howdah/json.py",
        "    if _suspicious(encoded):\n",
        "    if False:\n",
        ("tests/unit/test_json.py",),
    ),
    Bug(
        "an outcome that the database refuses is tried for ever",
        (26, 35),
        "src/howdah/worker/pipeline.py",
        "outcomes.unstorable(outcome, error.message)",
        '(outcome[0], outcome[1], "released")',
        (f"{_RUNS}test_an_outcome_that_the_database_refuses_fails_only_its_job",),
    ),
    Bug(
        "what an allowed package merely imported may be run",
        (27,),
        "src/howdah/imports.py",
        "    if found.__module__ not in packages and not is_allowed(found.__module__, packages):",
        "    if False:",
        ("tests/unit/test_tasks.py::test_nothing_else_is_imported",),
    ),
    Bug(
        "a claim sorts its whole lane",
        (28,),
        f"{_SQL}32_claim.sql",
        "order by r.queue, r.priority, r.pos\n                         limit i_num",
        "order by r.pos + 0\n                         limit i_num",
        ("tests/plans/test_plans.py",),
    ),
    Bug(
        "jobs that are ended with their worker have failed",
        (29,),
        _RUNNER,
        '            case "shutdown" if isinstance(error, asyncio.CancelledError):\n'
        "                return outcomes.released(run.job)\n",
        "",
        (f"{_LIFE}test_after_the_grace_period_jobs_go_back_without_costing_an_attempt",),
    ),
    Bug(
        "a stopping worker starts what it has claimed",
        (29,),
        _RUNNER,
        "        if self._draining:\n            self._release_waiting()\n        else:\n",
        "        if True:\n",
        (f"{_ENDS}test_jobs_of_an_exchange_that_was_under_way_are_given_back_without_starting",),
    ),
    Bug(
        "a job whose arguments do not fit this version fails",
        (30,),
        _RUNNER,
        'self._report(outcomes.parked(job, "arguments", str(problem)))',
        'self._report(outcomes.failed(job, "error", str(problem), final=True))',
        (f"{_RUNS}test_arguments_that_do_not_fit_park_the_job_with_the_reason",),
    ),
    Bug(
        "a worker lies down while something is on its way",
        (31,),
        f"{_SQL}30_doorbell.sql",
        "       and l.mode = 'RowExclusiveLock'\n       and l.pid is distinct",
        "       and false\n       and l.pid is distinct",
        ("tests/race/test_doorbell.py", "tests/race/test_cursor.py"),
    ),
    Bug(
        "pruning knows no bound",
        (33,),
        f"{_SQL}45_prune.sql",
        "kept_by_queue(e.id, i_kind) limit i_limit))",
        "kept_by_queue(e.id, i_kind)))",
        ("tests/sql/test_prune.py",),
    ),
    Bug(
        "an outcome whose row somebody held is dropped",
        (35,),
        _PIPELINE,
        "            self._hand_in_later(handed, set(answer.later))",
        "            pass",
        (f"{_LIFE}test_a_locked_row_delays_only_its_own_outcome",),
    ),
    Bug(
        "a run asked to stop is not cancelled",
        (6,),
        _RUNNER,
        "                self._stop(run, verdict.verdict)",
        "                pass",
        (f"{_LIFE}test_a_running_job_is_cancelled_by_its_heartbeat",),
    ),
    Bug(
        "what a failed run wrote is committed",
        (11,),
        _RUNNER,
        'if outcome is not None and outcome[2] == "succeeded":',
        "if outcome is not None:",
        (_WRITES,),
    ),
)
