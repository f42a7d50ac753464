"""Seeded bugs: edits of the shipped functions, each of which the state machine must notice."""

from __future__ import annotations

from tests.model.mutant import Mutant
from tests.model.mutants_of_limits import MUTANTS as LIMITS

MUTANTS = [
    # unique keys
    Mutant(
        "a job that waits for a retry holds its key until it starts again",
        "31_unique",
        "and howdah.attempts_made(i_key.job_id) = 0 end",
        "end",
    ),
    Mutant(
        "a key's time ends with its job", "31_unique", "coalesce(i_key.expires_at > i_now, false)", "false"
    ),
    Mutant(
        "a job replaced in another lane stays where it was",
        "31_unique_holder",
        "v_new.tenant, v_new.requires, v_new.concurrency_key) then",
        "v_new.tenant, v_new.requires, v_new.concurrency_key) or true then",
    ),
    Mutant(
        "a deleted job leaves its key's time behind", "36_control", "perform howdah.free_key_of(v_id);", ""
    ),
    # the fence
    Mutant(
        "ack, nack, snooze and release look at no run id",
        "34_finish",
        "where r.id = v_id and (r.run_id = i_run_id or (i_run_id is null and r.worker_id is null))",
        "where r.id = v_id",
        quick=True,
    ),
    Mutant(
        "a worker's run is ended without its run id",
        "34_finish",
        "(i_run_id is null and r.worker_id is null)",
        "i_run_id is null",
        quick=True,
    ),
    Mutant(
        "exchange takes the success of a run that is not current",
        "35_exchange",
        "where r.id = g.id and r.run_id = g.run_id\n                               for update",
        "where r.id = g.id\n                               for update",
        quick=True,
    ),
    Mutant(
        "exchange takes other outcomes of a run that is not current",
        "35_exchange",
        "where r.id = (v_outcome ->> 0)::bigint and r.run_id = (v_outcome ->> 1)::bigint",
        "where r.id = (v_outcome ->> 0)::bigint",
        quick=True,
    ),
    Mutant(
        "a heartbeat extends every run, whatever its run id",
        "37_workers",
        "where r.run_id = any (i_run_ids) and r.worker_id is null and j.id = r.id",
        "where r.worker_id is null and j.id = r.id",
    ),
    Mutant(
        "a heartbeat without a worker extends a worker's runs",
        "37_workers",
        "where r.run_id = any (i_run_ids) and r.worker_id is null and j.id = r.id",
        "where r.run_id = any (i_run_ids) and j.id = r.id",
        quick=True,
    ),
    Mutant(
        "a heartbeat of a lost run says nothing",
        "37_workers",
        "where e.run_id is null or n.verdict = 'cancel'",
        "where n.verdict = 'cancel'",
        quick=True,
    ),
    Mutant(
        "a dead worker's exchange is accepted",
        "37_workers",
        "from howdah.worker w where w.id = i_worker_id;\n    if not found then",
        "from howdah.worker w where w.id = i_worker_id;\n    if false then",
        quick=True,
    ),
    Mutant(
        "a run has its job's number",
        "32_claim",
        "nextval('howdah.run_seq') as run_id",
        "m.id as run_id",
        quick=True,
    ),
    # attempts and retries
    Mutant(
        "a claim counts no attempt",
        "32_claim",
        "m.attempt + 1 as attempt",
        "m.attempt as attempt",
        quick=True,
    ),
    Mutant(
        "one retry too many",
        "34_finish",
        "i_run.attempt > v_retries then",
        "i_run.attempt > v_retries + 1 then",
        quick=True,
    ),
    Mutant("a final failure is retried", "34_finish", "if i_final or i_run.attempt", "if i_run.attempt"),
    Mutant(
        "nack knows no backoff",
        "34_finish",
        "howdah.seconds(howdah.retry_delay(i_run.attempt, v_backoff))",
        "howdah.seconds(0)",
        quick=True,
    ),
    Mutant(
        "nack ignores the job's own backoff",
        "34_finish",
        "howdah.retry_delay(i_run.attempt, v_backoff)",
        "howdah.retry_delay(i_run.attempt, null)",
    ),
    Mutant(
        "snooze costs an attempt",
        "34_finish",
        "howdah.make_scheduled(v_run.id, v_run.attempt - 1,",
        "howdah.make_scheduled(v_run.id, v_run.attempt,",
        quick=True,
    ),
    Mutant(
        "release costs an attempt",
        "34_finish",
        "howdah.make_ready(v_run.id, v_run.attempt - 1)",
        "howdah.make_ready(v_run.id, v_run.attempt)",
    ),
    Mutant(
        "being parked costs an attempt",
        "35_exchange",
        "i_run.attempt - 1, howdah.one_line(i_outcome ->> 4)",
        "i_run.attempt, howdah.one_line(i_outcome ->> 4)",
    ),
    Mutant(
        "retry keeps old attempts",
        "36_control",
        "returning 0 into v_attempt",
        "returning f.attempt into v_attempt",
    ),
    Mutant(
        "a rescue ignores max_retries",
        "39_rescue",
        "howdah.fail(i_run, 'timeout', 'not finished within its timeout', null, null, false, i_now)",
        "howdah.make_scheduled(i_run.id, i_run.attempt, i_now)",
        quick=True,
    ),
    Mutant(
        "a death with others costs an attempt",
        "38_deaths",
        "perform howdah.make_ready(i_run.id, i_run.attempt - 1);\n        return;",
        "perform howdah.make_ready(i_run.id, i_run.attempt);\n        return;",
        quick=True,
    ),
    Mutant(
        "a suspect's death with others costs an attempt",
        "38_deaths",
        "select j.id, 'alone', j.task, i_run.attempt - 1",
        "select j.id, 'alone', j.task, i_run.attempt",
    ),
    Mutant(
        "the first death makes a suspect", "38_deaths", "howdah.deaths(i_run.id) < 2", "false", quick=True
    ),
    Mutant("no death makes a suspect", "38_deaths", "howdah.deaths(i_run.id) < 2", "true", quick=True),
    Mutant("all suspects run at once", "38_deaths", "where n.n <= v_room", "where true"),
    Mutant(
        "suspects that run take no room",
        "38_deaths",
        "where a.about and a.queue = s.queue",
        "where false and a.queue = s.queue",
    ),
    Mutant(
        "suspects wait for the next worker",
        "39_chores",
        "('admitted', howdah.admit())",
        "('admitted', 0::bigint)",
    ),
    Mutant(
        "a job that was retried by hand is a suspect still",
        "36_control",
        "delete from howdah.suspect s where s.id = v_id and v_attempt is not null;",
        "",
    ),
    Mutant(
        "who must run alone is not told",
        "35_exchange",
        "if pg_sequence_last_value('howdah.suspects'::regclass) > 0 then",
        "if false then",
    ),
    Mutant(
        "deaths in processes of their own never end a job",
        "38_deaths",
        "howdah.deaths_alone(v_run) >= 2",
        "howdah.deaths_alone(v_run) >= 99",
    ),
    Mutant(
        "the deaths of workers count as if the job had been alone",
        "38_deaths",
        "and not f.forgiven and f.attempt < i_run.attempt",
        "and not f.forgiven",
    ),
    Mutant(
        "a death alone costs no attempt",
        "38_deaths",
        "return howdah.changed(v_run.id, howdah.fail(v_run, 'crash',",
        "perform howdah.make_ready(v_run.id, v_run.attempt - 1);\n"
        "    return howdah.changed(v_run.id, 'ready');\n"
        "    return howdah.changed(v_run.id, howdah.fail(v_run, 'crash',",
        quick=True,
    ),
    Mutant(
        "a worker that stops costs its jobs an attempt",
        "38_deaths",
        "howdah.make_ready(v_run.id, v_run.attempt - 1)",
        "howdah.make_ready(v_run.id, v_run.attempt)",
    ),
    # order and choice of claims
    Mutant(
        "a paused queue is claimed",
        "32_claim",
        "and not exists (select from howdah.queue q where q.queue = l.queue and q.paused_at is not null)",
        "",
        quick=True,
    ),
    Mutant(
        "last in, first out",
        "32_claim",
        "order by r.queue, r.priority, r.pos\n                         limit i_num",
        "order by r.queue, r.priority, r.pos desc\n                         limit i_num",
        quick=True,
    ),
    Mutant(
        "low priorities first",
        "32_claim",
        "by lane.priority desc, lane.pos",
        "by lane.priority, lane.pos",
        quick=True,
    ),
    Mutant(
        "queues by name", "32_claim", "by lane.priority desc, lane.pos", "by lane.priority desc, lane.queue"
    ),
    Mutant("a claim takes one more than asked", "32_claim", "limit i_num", "limit i_num + 1", 2, quick=True),
    Mutant(
        "a claim ignores its queues", "32_claim", "(i_queues is null or l.queue = any (i_queues))", "true"
    ),
    Mutant(
        "what counts beside priorities is forgotten: queues in any order",
        "32_candidates",
        "case when i_strict then array_position(i_queues, h.queue) end",
        "0",
    ),
    Mutant(
        "tenants take no turns",
        "32_candidates",
        "(count(*) over (partition by l.queue, l.priority))::integer",
        "1",
    ),
    Mutant(
        "a job goes to somebody without its labels",
        "32_candidates",
        "and (k.labels is null or k.labels <@ i_labels)",
        "",
    ),
    Mutant(
        "a parked job that requires labels goes to a consumer without them",
        "33_consume",
        "and coalesce(j.requires, t.requires, '{}') <@ coalesce(i_labels, '{}')",
        "",
    ),
    Mutant(
        "what is at the front has no priority",
        "31_publish",
        "case when p.at_front then 32767::smallint else coalesce(p.priority::smallint, t.priority) end",
        "coalesce(p.priority::smallint, t.priority)",
    ),
    Mutant(
        "a task's labels do not hold for its jobs published before",
        "37_workers",
        "t.requires is not null or t.changed_at > t.registered_at",
        "false",
    ),
    Mutant(
        "a worker gets tasks that it does not know",
        "32_claim",
        "and (i_tasks is null or r.task = any (i_tasks) or r.task like any (i_patterns))",
        "",
        quick=True,
    ),
    Mutant(
        "an underscore in a topic is a wildcard",
        "12_input",
        r"return replace(replace(i_topic, '\', '\\'), '_', '\_')",
        "return i_topic",
    ),
    Mutant(
        "a floor passes jobs that wait",
        "38_cursor",
        "least(coalesce(head.pos - 1, i_settled), i_settled) as floor",
        "i_settled as floor",
        quick=True,
    ),
    # time
    Mutant(
        "due before its time",
        "39_chores",
        "s.run_at <= i_now",
        "s.run_at <= i_now + interval '10 s'",
    ),
    Mutant(
        "a due job is promoted twice",
        "39_chores",
        "delete from howdah.scheduled s using due d where s.ctid = d.row returning d.id, d.run_at, d.attempt",
        "select d.id, d.run_at, d.attempt from due d",
        quick=True,
    ),
    Mutant("a delay is ignored", "12_input", "when i_delay > 0 then", "when false then"),
    Mutant("a ttl is ignored", "39_chores", "and e.expires_at <= i_now", "and false"),
    Mutant(
        "a ttl ends a job that has started", "39_chores", "if v_attempt = 0 then", "if v_attempt >= 0 then"
    ),
    Mutant(
        "a retried job is still under its old ttl",
        "36_control",
        "where j.id = v_id and e.expires_at = j.expires_at and e.id = v_id",
        "where false",
    ),
    Mutant(
        "a run past its timeout is not rescued",
        "39_rescue",
        "and r.deadline >= v_first and r.deadline < i_now",
        "and false",
        quick=True,
    ),
    Mutant(
        "a worker past its lease is not buried",
        "39_rescue",
        "where b.beat_at + make_interval(secs => w.lease) < v_judged"
        " or howdah.has_gone(w, b.beat_at, i_now) order by w.id",
        "where false order by w.id",
        quick=True,
    ),
    Mutant(
        "a live worker keeps a run for ever",
        "39_rescue",
        "where r.worker_id is not null and r.deadline < i_now - interval '10 s'",
        "where false",
    ),
    # endings
    Mutant(
        "a result is lost",
        "34_finish",
        "i_run.started_at, i_now, i_result,",
        "i_run.started_at, i_now, null,",
    ),
    Mutant(
        "exchange loses a result",
        "35_exchange",
        "m.started_at, i_now, g.result,",
        "m.started_at, i_now, null,",
    ),
    Mutant(
        "a run asked to stop is retried",
        "34_finish",
        "if howdah.cancel_wanted(i_run, i_now) then\n        return 'cancelled'",
        "if false then\n        return 'cancelled'",
    ),
    Mutant("delete takes a running job without force", "36_control", "elsif i_force then", "elsif true then"),
    Mutant(
        "prune takes what was to be kept for ever",
        "45_prune",
        "where f.prune_at is null and f.state = 'succeeded'",
        "where f.state = 'succeeded'",
    ),
    Mutant("failures are pruned like successes", "45_prune", "interval '30 days'", "interval '7 days'"),
    Mutant(
        "a key is used again while its job runs",
        "31_publish",
        "select p.id, p.key, coalesce(",
        "select p.id, case when not exists (select from howdah.job j join howdah.running r on r.id = j.id\n"
        "            where j.key = p.key) then p.key end as key, coalesce(",
    ),
    # tasks
    Mutant(
        "what is parked is never released",
        "37_workers",
        "where b.task = any (v_tasks) and b.kind in ('task', 'arguments')",
        "where false",
    ),
    Mutant("unknown tasks are never parked", "39_chores", "if v_unknown = '{}' then", "if true then"),
    Mutant(
        "jobs published before their task was known stay where they were",
        "37_workers",
        "where r.task = any (v_tasks)",
        "where false",
    ),
    Mutant(
        "a task's queue is ignored", "31_publish", "coalesce(p.queue, t.queue), p.task", "p.queue, p.task"
    ),
    Mutant(
        "a task's max_retries is ignored",
        "34_finish",
        "coalesce(j.max_retries, t.max_retries, 3)",
        "coalesce(j.max_retries, 3)",
    ),
    Mutant(
        "a task's timeout is ignored by a plain heartbeat",
        "37_workers",
        "coalesce(j.timeout, t.timeout, 60)",
        "coalesce(j.timeout, 60)",
    ),
    Mutant(
        "a task's result_ttl is ignored by exchange",
        "32_claim",
        "coalesce(j.result_ttl, t.result_ttl) as result_ttl",
        "j.result_ttl as result_ttl",
    ),
    Mutant(
        "a parked job comes back to the wrong queue",
        "33_consume",
        "howdah.lane_of(coalesce(j.queue, t.queue), ",
        "howdah.lane_of(j.queue, ",
    ),
    # dependencies
    Mutant(
        "ack and nack tell no child",
        "34_finish",
        "perform howdah.note_ends(array[i_run.id], i_state, i_now);",
        "null;",
        quick=True,
    ),
    Mutant(
        "an exchange tells no child of a success",
        "35_exchange",
        "where (e ->> 1)::bigint = any (v_taken)), 'succeeded', i_now)",
        "where false), 'succeeded', i_now)",
    ),
    Mutant(
        "a child that is cancelled or started by hand leaves its edges",
        "36_control",
        "delete from howdah.edge e where e.child = i_id;",
        "null;",
        quick=True,
    ),
    Mutant(
        "a child runs when its first parent has ended",
        "39_settle",
        "and b.pending <= c.count",
        "",
        quick=True,
    ),
    Mutant(
        "allow_failure is forgotten", "39_settle", "e.allow_failure or coalesce(", "coalesce(", quick=True
    ),
    Mutant(
        "the children of a cancelled child wait for ever",
        "39_settle",
        "perform howdah.note_ends(v_ids, 'cancelled', i_now);",
        "null;",
        quick=True,
    ),
    Mutant(
        "an end counts for children published after it",
        "39_settle",
        "where e.parent = n.parent and e.child <= n.upto",
        "where e.parent = n.parent",
    ),
    *LIMITS,
]
