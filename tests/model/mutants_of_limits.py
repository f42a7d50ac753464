"""Seeded bugs about limits: slots, lines, rates, and who is told of what."""

from __future__ import annotations

from tests.model.mutant import Mutant

MUTANTS = [
    # slots
    Mutant(
        "ack, nack, snooze and release keep the slots of a run",
        "34_finish",
        "perform howdah.free(v_run.held);",
        "",
        quick=True,
    ),
    Mutant(
        "an exchange keeps the slots of successes",
        "35_exchange",
        "where m.held is not null group by 1",
        "where false group by 1",
    ),
    Mutant(
        "a dead worker's runs keep their slots",
        "38_deaths",
        "perform howdah.free(v_run.held);",
        "",
        quick=True,
    ),
    Mutant("a run past its timeout keeps its slots", "39_rescue", "perform howdah.free(i_run.held);", ""),
    Mutant(
        "a limit lets one too many run",
        "32_judge",
        "> v_job.most[v_k] or",
        "> v_job.most[v_k] + 1 or",
        quick=True,
    ),
    Mutant(
        "jobs that are judged together are one too many",
        "32_judge",
        "h.used + d.takes > d.most",
        "h.used + d.takes > d.most + 1",
        quick=True,
    ),
    Mutant(
        "where only limits count, one too many runs",
        "32_plainly",
        "where f.limit_id = l.id) > l.max_running",
        "where f.limit_id = l.id) > l.max_running + 1",
        quick=True,
    ),
    Mutant(
        "a job takes one slot, whatever it says",
        "32_judge",
        "return greatest(1, least(i_slots, i_most));",
        "return 1;",
    ),
    Mutant(
        "what is set for a key does not count",
        "32_judge",
        "not h.by_hand or h.max_running is null",
        "true",
    ),
    Mutant(
        "runs that were there before a limit do not count",
        "46_adoption",
        "v_slots := howdah.adopt_running(i_limit);",
        "v_slots := 0;",
        quick=True,
    ),
    # lines
    Mutant(
        "a ready job passes those that wait for its limit",
        "32_judge",
        "v_job.ready and v_backlog[v_at]",
        "false",
    ),
    Mutant(
        "ready jobs of a limit for which others wait are judged together",
        "32_judge",
        "c.place = 'ready' and not h.backlog",
        "c.place = 'ready'",
    ),
    Mutant(
        "who comes from another line passes those that have waited longer",
        "32_judge",
        "v_job.limits[v_k] <> v_job.waits_for and (",
        "false and (",
    ),
    Mutant(
        "last in, first out in a line",
        "32_limited",
        "order by x.limit_id, x.priority desc, x.pos\n                 limit h.room",
        "order by x.limit_id, x.priority desc, x.pos desc\n                 limit h.room",
        quick=True,
    ),
    Mutant(
        "priorities do not count in a line",
        "32_limited",
        "order by m.n, (m.c).priority desc, (m.c).pos",
        "order by m.n, (m.c).pos",
    ),
    # news
    Mutant(
        "a limit that was changed is not looked at",
        "46_limits",
        "insert into howdah.freed (limit_id, slots) values (v_id, 0);",
        "",
        quick=True,
    ),
    Mutant(
        "who leaves a line leaves no news",
        "36_control",
        "perform howdah.free(array[v_limit, 0]);",
        "null;",
    ),
    Mutant(
        "whoever waits for a limit that has room is forgotten",
        "32_judged",
        "and (u.backlog or u.id = any (v_waiting))",
        "and false",
        quick=True,
    ),
    Mutant(
        "what waits for a limit stays where its task does not belong",
        "37_workers",
        "where b.kind = 'limit' and b.task = any (v_tasks)",
        "where false and b.task = any (v_tasks)",
        quick=True,
    ),
    # rates and full queues
    Mutant(
        "a rate's interval is too short",
        "32_hold",
        "s.at >= i_now - make_interval(secs => i_limit.per)",
        "s.at >= i_now - make_interval(secs => i_limit.per / 2)",
    ),
    Mutant(
        "a rate opens a moment too early",
        "32_hold",
        "s.at >= i_now - make_interval(secs => i_limit.per)",
        "s.at > i_now - make_interval(secs => i_limit.per)",
    ),
    Mutant(
        "who waits for a limit fills no queue",
        "46_limits",
        "select from howdah.blocked b where b.kind = 'limit' and b.queue = i_queue",
        "select from howdah.blocked b where false",
        quick=True,
    ),
]
