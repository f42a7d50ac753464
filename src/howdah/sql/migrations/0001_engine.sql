-- The engine's tables. A job's state is the table its id lies in:
--
--   publish ─► scheduled ─► ready ─► running ─► finished
--                  ▲          ▲        │  │
--                  │          └────────┘  │      (release, lost lease)
--                  └──────────────────────┘      (retry, snooze)
--   blocked: waits for something other than time; comes back through ready.
--
-- Nothing here is granted to anybody: the schema `jobs` is the only door.

create type howdah.state as enum (
    'blocked',      -- waits for something other than time; the row says for what
    'scheduled',    -- due later: delayed, snoozed, or waiting for a retry
    'ready',        -- may run now
    'running',      -- a live run holds it
    'succeeded',    -- ended well
    'failed',       -- ended badly, no attempt left
    'cancelled',    -- ended on request, or because its time to live was over
    'skipped'       -- a workflow's rules passed it over
);

-- Numbers jobs and positions in `ready`. nextval holds a lock on the sequence until its transaction
-- ends: the claim cursor reads those locks as the registry of publishers in flight. Needs CACHE 1.
create sequence howdah.position_seq as bigint cache 1;

-- Numbers runs; a run's number is its fence.
create sequence howdah.run_seq as bigint cache 1;

-- A worker gets a new number at each start; host and process id are labels only.
create sequence howdah.worker_seq as bigint cache 1;

-- Registers: sequences used as cells that leave no dead rows behind, whatever snapshot is held open.
create sequence howdah.last_tick as bigint minvalue 0 start 0;          -- milliseconds since 1970
create sequence howdah.last_discovery as bigint minvalue 0 start 0;
create sequence howdah.last_patience as bigint minvalue 0 start 0;       -- when waiting for a limit was in vain
create sequence howdah.last_chores as bigint minvalue 0 start 0;
create sequence howdah.last_stray_check as bigint minvalue 0 start 0;
-- 1 while there may be suspects; read at each claim, which costs a tenth of a look into the table.
create sequence howdah.suspects as bigint minvalue 0 start 0;
-- 0 as long as claims need heed priorities only; 1: ageing or limits; 2: tenants or labels, too. See functions/12_lanes.sql.
create sequence howdah.controls as bigint minvalue 0 start 0;
-- Whose turn it is, where claims go round lanes.
create sequence howdah.turn as bigint minvalue 0 start 0;
-- 1 once some queue has had a max_waiting.
create sequence howdah.bounds as bigint minvalue 0 start 0;
-- 1 once a task has declared that its jobs are unique: most publishes have to look no further.
create sequence howdah.unique_tasks as bigint minvalue 0 start 0;
-- Since when the server works, as far as we saw it: what is unlogged begins anew after a crash or a promotion.
create unlogged sequence howdah.up_since as bigint minvalue 0 start 0;
select setval('howdah.up_since', 1);      -- not 0, which is what a crash leaves
-- Where chores begin to search, and until when; see functions/14_searches.sql.
create sequence howdah.search_scheduled as bigint minvalue 0 start 0;
create sequence howdah.search_expiry as bigint minvalue 0 start 0;
create sequence howdah.search_deadline as bigint minvalue 0 start 0;
create sequence howdah.search_overdue as bigint minvalue 0 start 0;
create sequence howdah.search_unique as bigint minvalue 0 start 0;
create sequence howdah.last_rescue as bigint minvalue 0 start 0;
create sequence howdah.rescuing_since as bigint minvalue 0 start 0;     -- how long rescues have come regularly
create unlogged sequence howdah.life as bigint;     -- emptied by a crash and by a promotion: see functions/14_life.sql
select setval('howdah.life', 1);
-- Moved on by each publish of a job that waits for others: null until the first one, and its lock says who is publishing one now.
create sequence howdah.dependencies as bigint cache 1;
create sequence howdah.search_ended as bigint minvalue 0 start 0;
create sequence howdah.settled_to as bigint minvalue 0 start 0;         -- the last child looked at; see functions/39_settle.sql

-- What to run. Written once at publish, never updated.
create table howdah.job (
    id           bigint primary key,
    key          text collate "C",           -- the user's own id, unique while the job exists
    queue        text collate "C",           -- null: as the task says once a worker has registered it
    task         text collate "C" not null,
    body         jsonb,
    priority     smallint,                   -- larger first; null: as the task says
    max_retries  integer,                    -- attempts after the first; null: as the task says
    timeout      double precision,           -- seconds; null: as the task says
    backoff      double precision[],         -- seconds before the 1st, 2nd … retry; null: as the task says
    created_at   timestamptz not null,
    scheduled_at timestamptz,                -- not before
    expires_at   timestamptz,                -- cancelled when not started by then
    result_ttl   double precision,           -- seconds to keep a success; null: the default; -1: for ever
    failure_ttl  double precision,           -- seconds to keep a failure
    headers      jsonb,
    meta         jsonb,
    concurrency_key   text collate "C",      -- jobs of one key share its slots; see functions/32_limited.sql
    concurrency_limit integer,               -- slots of that key, unless jobs.set_key has set it; null: 1
    slots             integer,               -- slots that a run takes of each of its limits; null: 1
    tenant       text collate "C",           -- whose job it is: claims go round the tenants of a queue
    requires     text[] collate "C",         -- labels that a worker must have; null: as the task says
    depends_on   bigint[],                   -- its parents, also when they have ended
    allow_failure boolean,                   -- it runs however they end
    unique_key   text collate "C",           -- what it was unique by when it was published
    unique_until text                        -- for how long: see unique_key
);
create unique index job_key on howdah.job (key) where key is not null;

create table howdah.scheduled (
    id      bigint primary key,
    run_at  timestamptz not null,
    attempt integer not null                 -- attempts already made and counted
);
create index scheduled_due on howdah.scheduled (run_at, id);

create table howdah.blocked (
    id         bigint primary key,
    kind       text not null check (kind in ('task', 'arguments', 'alone', 'limit', 'parent')),
    task       text collate "C" not null,
    attempt    integer not null,
    pending    integer not null default 0,   -- how many others it still waits for
    reason     text,
    blocked_at timestamptz not null,
    limit_id   bigint,                       -- kind limit: the limit it waits for, in the order of priority and pos
    queue      text collate "C",
    lane       text collate "C",
    priority   smallint,
    pos        bigint
);
-- Jobs that wait for others may be many, and are found by their numbers only.
create index blocked_task on howdah.blocked (task, id) where kind in ('task', 'arguments');
create index blocked_limit on howdah.blocked (limit_id, priority desc, pos) where kind = 'limit';
create index blocked_queue on howdah.blocked (queue) where kind = 'limit';
create index blocked_parked on howdah.blocked (id) where kind = 'task';

-- What a job of blocked, kind parent, still waits for; written only by whoever has locked the child's row there.
create table howdah.edge (
    child         bigint not null,
    parent        bigint not null,
    allow_failure boolean not null,          -- however the parent ends
    settled       boolean not null default false,    -- whoever ends the parent will see this row; see functions/39_settle.sql
    primary key (child, parent)
);
create index edge_parent on howdah.edge (parent, child);
create index edge_unsettled on howdah.edge (child, parent) where not settled;

-- Parents that have ended and whose children do not know it yet.
create table howdah.ended (
    at      timestamptz not null,
    parent  bigint not null,
    state   howdah.state,                    -- null: deleted
    upto    bigint not null,                 -- the children concerned: those with later numbers were published after this end
    holders text[]                           -- pruned while these were publishing: kept until they have ended
);
create index ended_at on howdah.ended (at);
create index ended_parent on howdah.ended (parent);

-- Read in index order by claims; nothing is ever claimed at or below its lane's floor.
create table howdah.ready (
    queue    text collate "C" not null,      -- the lane: queue, tenant and labels, see functions/12_lanes.sql
    priority smallint not null,
    pos      bigint not null,                -- order of becoming ready; a direct publish has pos = id
    id       bigint not null,
    attempt  integer not null,
    task     text collate "C" not null,
    key_limit bigint,                        -- the limit of its concurrency key
    asks     integer[],                      -- slots that it takes, runs of its key that it allows; null: one of each
    primary key (queue, priority, pos)
);
-- A direct publish is found by (queue, priority, pos = id); only what came back needs this index.
create index ready_moved on howdah.ready (id) where pos <> id;
-- Which job of a concurrency key is the next.
create index ready_key on howdah.ready (key_limit, priority desc, pos) where key_limit is not null;

create table howdah.running (
    id         bigint primary key,
    run_id     bigint not null,
    worker_id  bigint,                       -- null: a plain SQL consumer
    attempt    integer not null,
    started_at timestamptz not null,
    deadline   timestamptz not null,         -- start plus timeout
    result_ttl double precision,             -- the job's own, if it has one: spares ack the look at job
    held       bigint[]                      -- the limits and how many slots it holds of each: {limit, slots, …}
);
-- Only plain consumers' runs are looked up by these; a worker's runs pay for neither.
create index running_plain_deadline on howdah.running (deadline) where worker_id is null;
create index running_plain_run on howdah.running (run_id) where worker_id is null;

create table howdah.finished (
    id          bigint primary key,
    state       howdah.state not null check (state in ('succeeded', 'failed', 'cancelled', 'skipped')),
    run_id      bigint,                      -- the last run; null: never started
    attempt     integer not null,
    started_at  timestamptz,
    finished_at timestamptz not null,
    result      jsonb,
    kind        text,                        -- why it did not succeed: error, timeout, crash, result, ttl, revoked, parent
    error       text,                        -- one line
    prune_at    timestamptz                  -- the job's or its task's own ttl; null: by its queue or its state
);
create index finished_well on howdah.finished (finished_at) where prune_at is null and state = 'succeeded';
create index finished_badly on howdah.finished (finished_at) where prune_at is null and state <> 'succeeded';
create index finished_own on howdah.finished (prune_at) where prune_at is not null;

-- One row per failed attempt and per death of a run's process.
create table howdah.failure (
    job_id    bigint not null,
    attempt   integer not null,
    run_id    bigint not null,
    at        timestamptz not null,
    kind      text not null,
    error     text,
    traceback text,
    forgiven  boolean not null default false,    -- the job was retried by hand since: its deaths count anew
    primary key (job_id, run_id)
);

-- Unfinished jobs whose workers have died twice: they run alone, each in a process of its own, so that the next death tells.
create table howdah.suspect (
    id bigint primary key
);

-- What a job's runs have said, the newest thousand lines of each job.
create table howdah.log (
    job_id  bigint not null,
    n       bigint generated always as identity,
    run_id  bigint not null,
    at      timestamptz not null,
    level   text not null,
    message text not null,
    primary key (job_id, n)
);

-- Which job holds a unique key. Whether it still does is judged by whoever meets it: see functions/31_unique.sql.
create table howdah.unique_key (
    key        text collate "C" primary key,
    job_id     bigint not null,
    until      text not null check (until in ('waiting', 'started', 'finished')),    -- what of its life counts
    expires_at timestamptz,                  -- held until then in any case; null: no longer than the job's life says
    look_at    timestamptz not null          -- when a chore looks whether it is held still
);
create index unique_key_look on howdah.unique_key (look_at);

-- Jobs that have a time to live, in the order in which it ends.
create table howdah.expiry (
    expires_at timestamptz not null,
    id         bigint not null,
    primary key (expires_at, id)
);

-- What a live run is told at its next heartbeat: 'cancel' (please stop) or 'lost' (no longer yours).
create table howdah.notice (
    run_id       bigint primary key,
    id           bigint not null,
    worker_id    bigint,
    verdict      text not null check (verdict in ('cancel', 'lost')),
    reason       text,
    requested_by text,
    at           timestamptz not null
);
create index notice_job on howdah.notice (id);
create index notice_worker on howdah.notice (worker_id);

-- The claim cursor. A lane is a queue (of a tenant, for labels) and a priority; nothing at or below its floor is left to take.
create table howdah.lane (
    queue    text collate "C" not null,
    priority smallint not null,
    floor    bigint not null default 0,
    moved_at timestamptz not null,
    base     text collate "C" not null generated always as (split_part(split_part(queue, '+', 1), '/', 1)) stored,
    tenant   text collate "C" generated always as (nullif(split_part(split_part(queue, '+', 1), '/', 2), '')) stored,
    labels   text[] collate "C" generated always as (string_to_array(nullif(split_part(queue, '+', 2), ''), ',')) stored,
    primary key (queue, priority)
) with (fillfactor = 50);

-- Everything up to `settled` is committed or rolled back; up to `candidate` once `holders` have ended.
create table howdah.settle (
    only_row     boolean primary key default true check (only_row),
    settled      bigint not null default 0,
    candidate    bigint not null default 0,
    holders      text[] not null default '{}',
    candidate_at timestamptz not null default '-infinity'
) with (fillfactor = 50);
insert into howdah.settle default values;

-- Transactions that a floor has passed before they ended: their rows may still turn up behind it.
create table howdah.hole (
    id        bigint generated always as identity primary key,
    low       bigint not null,               -- their rows lie above this position
    holders   text[] not null,               -- virtual transactions; empty: looked at once a second
    opened_at timestamptz not null,
    looked_at timestamptz not null
);

-- Queues that somebody has set something for; a queue needs no row to exist.
create table howdah.queue (
    queue       text collate "C" primary key,
    paused_at   timestamptz,
    reason      text,
    result_ttl  double precision,            -- seconds to keep a success; null: the default; -1: for ever
    failure_ttl double precision,            -- seconds to keep what ended otherwise
    kept_since  timestamptz,                 -- when one of the two was last set
    max_waiting integer,                     -- publish refuses when so many wait; null: it never does
    ageing      double precision             -- seconds after which a job goes before all others; null: never
);

-- What may run at once, and how often something may start; see functions/32_limited.sql. (Plural, because LIMIT is a
-- word of SQL.)
create table howdah.limits (
    id          bigint primary key,          -- howdah.limit_id of the next two
    kind        text not null check (kind in ('queue', 'task', 'key')),
    name        text collate "C" not null,
    max_running integer,                     -- slots; null: no such limit, or a key's jobs say it
    rate        integer,                     -- starts in any interval of `per` seconds
    per         double precision,
    by_hand     boolean not null default false,     -- set by somebody; a key's row else comes and goes with its jobs
    used        integer not null default 0,  -- slots taken, less what howdah.freed says
    opens_at    timestamptz,                 -- when its rate lets the next one start
    adopted_at  timestamptz,                 -- when the runs that were there before it were counted; null: not yet
    holders     text[],                      -- claims that were in flight when it was first looked at
    looked_at   timestamptz
) with (fillfactor = 50);
create index limits_set on howdah.limits (kind, name) where by_hand;
create index limits_opening on howdah.limits (opens_at) where opens_at is not null;

-- Slots given back, folded into `used` by whoever claims next: so the end of a run never waits for a limit. Zero: look
-- at this limit, something may start.
create table howdah.freed (
    limit_id bigint not null,
    slots    integer not null
);
create index freed_limit on howdah.freed (limit_id);

-- Starts of limits with a rate, for as long as they count.
create table howdah.start (
    limit_id bigint not null,
    at       timestamptz not null,
    starts   integer not null
);
create index start_limit on howdah.start (limit_id, at);

-- Whoever makes the row of a new key holds one of these until its transaction ends, so that nobody waits for that row.
create table howdah.birth (
    n integer primary key
);
insert into howdah.birth select generate_series(0, 63);

-- How far prune has come through what has ended, by kind of end and time to keep; see functions/45_prune.sql.
create table howdah.sweep (
    kind     text not null check (kind in ('own', 'succeeded', 'other')),
    ttl      double precision,               -- seconds, as a queue says; null: the default
    reached  timestamptz not null default '-infinity',
    began_at timestamptz not null default '-infinity',
    unique nulls not distinct (kind, ttl)
) with (fillfactor = 50);
insert into howdah.sweep (kind) values ('own'), ('succeeded'), ('other');

-- What workers have declared.
create table howdah.task (
    name          text collate "C" primary key,
    queue         text collate "C",
    timeout       double precision,
    max_retries   integer,
    priority      smallint,
    backoff       double precision[],
    ttl           double precision,
    result_ttl    double precision,
    failure_ttl   double precision,
    "unique"      jsonb,                     -- what of a body makes its jobs unique
    unique_mode   text,
    unique_until  text,
    unique_for    double precision,
    signature     text,
    registered_at timestamptz not null,
    changed_at    timestamptz not null,
    requires      text[] collate "C"         -- labels that a worker must have
);

create table howdah.worker (
    id         bigint primary key,
    name       text not null,
    host       text,
    pid        integer,
    queues     text[],                       -- null: every queue
    topic      text,                         -- null: every task it knows
    tasks      text[] not null,
    allow      text[],                       -- packages whose functions it may run
    patterns   text[],                       -- `allow` and nothing else, as LIKE patterns
    kind       bigint not null,              -- the same for workers with the same filters
    lease      double precision not null,    -- seconds after its last beat until it counts as dead
    started_at timestamptz not null,
    tied       boolean not null default false,   -- a session of its own holds a lock for as long as it lives
    missing_since timestamptz,               -- nobody held that lock when somebody looked
    labels     text[] collate "C" not null default '{}', -- what it has: jobs may require it
    era        integer not null default 0    -- of its exchanges; those of an earlier one come too late
);

-- Apart from worker, because it is updated every second and read by nobody on the hot path.
create table howdah.beat (
    worker_id bigint primary key,
    beat_at   timestamptz not null
) with (fillfactor = 50);

-- Who sleeps; see functions/31_sleep.sql.
create table howdah.sleeper (
    worker_id bigint primary key,
    kind      bigint not null default 0,     -- the worker's
    state     text collate "C" not null default 'behind' check (state in ('front', 'behind', 'up')),
    holders   text[],                        -- publishers in flight at the declaration; null: not looked yet
    since     timestamptz not null
) with (fillfactor = 50);
create index sleeper_state on howdah.sleeper (state, kind, worker_id);

-- Queue tables change size a thousandfold in a minute: vacuum them by their number of dead rows.
alter table howdah.ready     set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
alter table howdah.running   set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
alter table howdah.scheduled set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
alter table howdah.blocked   set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
alter table howdah.freed     set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
alter table howdah.limits    set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
alter table howdah.start     set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
alter table howdah.edge      set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
alter table howdah.ended     set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);

create type jobs.published as (
    job_id  text,
    id      bigint,
    state   text,
    created boolean
);

create type jobs.changed as (
    job_id text,
    id     bigint,
    state  text
);

-- pgjobs' bulk form, literally; scheduled_at has no zone and is UTC.
create type jobs.bulk_job as (
    task         varchar,
    body         jsonb,
    scheduled_at timestamp,
    timeout      integer,
    priority     integer,
    max_retries  integer
);

-- What makes a job to publish unique.
create type howdah.uniqueness as (
    unique_key   text,
    "unique"     jsonb,
    unique_mode  text,
    unique_until text,
    unique_for   numeric,
    number       bigint                      -- the job's, drawn already; null: publish_jobs draws it
);

-- One job to publish, with every option; null is "not given".
create type howdah.publication as (
    task         text,
    body         jsonb,
    scheduled_at timestamptz,
    timeout      numeric,
    priority     integer,
    max_retries  integer,
    queue        text,
    key          text,
    delay        numeric,
    ttl          numeric,
    result_ttl   numeric,
    failure_ttl  numeric,
    backoff      numeric[],
    headers      jsonb,
    meta         jsonb,
    concurrency_key   text,
    concurrency_limit integer,
    slots             integer,
    at_front     boolean,
    tenant       text,
    requires     text[],
    depends_on   text[],
    allow_failure boolean,
    uniqueness   jsonb                       -- a howdah.uniqueness; null for most, who pay for one column instead of six
);

-- One job locked to be started; see functions/32_candidates.sql.
create type howdah.candidate as (
    row      tid,
    id       bigint,
    pos      bigint,
    attempt  integer,
    queue    text,
    lane     text,
    priority smallint,
    task     text,
    key_limit bigint,
    asks     integer[]
);

-- Queues and tasks that have a limit, and how many jobs of each queue may be looked at: as many as it seems to have room for.
create type howdah.limited as (
    queues       text[],
    queue_limits bigint[],
    rooms        integer[],
    tasks        text[],
    task_limits  bigint[]
);

-- Jobs locked to be started, and how many of them ask for which limit; others: some of them have limits of their own.
create type howdah.taken as (
    rows   tid[],
    limits bigint[],
    counts integer[],
    others boolean
);

-- One lane to take from; `lanes` is how many lanes its level has.
create type howdah.open_lane as (
    lane     text,
    queue    text,
    priority smallint,
    after    bigint,
    until    bigint,
    level    integer,
    lanes    integer
);

-- One run just claimed, in the order of claiming.
create type howdah.claimed as (
    id          bigint,
    run_id      bigint,
    attempt     integer,
    task        text,
    queue       text,
    priority    smallint,
    timeout     double precision,
    max_retries integer,
    key         text,
    headers     jsonb,
    meta        jsonb,
    body        jsonb
);

-- One job that might start, while its limits are looked at; in the order in which they are to start.
create type howdah.contender as (
    place       text,       -- ready or blocked
    at_row      tid,
    id          bigint,
    pos         bigint,
    attempt     integer,
    task        text,
    queue       text,
    lane        text,
    priority    smallint,
    key_limit   bigint,
    task_limit  bigint,
    queue_limit bigint,
    waits_for   bigint,     -- the limit that it waited for in blocked
    fits        boolean,    -- this worker may run it
    slots       integer,
    at_most     integer     -- what its own concurrency_limit says
);

-- Limits that a claim holds, one place each in every array.
create type howdah.limit_state as (
    ids         bigint[],
    before      integer[],      -- what their rows say is used
    used        integer[],
    max_running integer[],
    by_hand     boolean[],
    tokens      integer[],      -- starts that the rate has left; null: no rate
    opens_at    timestamptz[],
    backlog     boolean[],      -- something waits for it that a ready job must not pass
    elsewhere   boolean[],      -- another claim holds the first that waits for it in blocked
    priorities  smallint[],     -- of that first one
    positions   bigint[],
    full_up     boolean[],      -- a job found no room
    starts      integer[],
    verdicts    bigint[]        -- one for each job
);

comment on schema jobs is 'Public API of Howdah: functions and views.';
comment on schema howdah is 'Tables and internal functions of Howdah. Private.';
comment on type jobs.published is 'What publish returns; created is false when the key existed already.';
comment on type jobs.changed is 'The job and its state after a change.';
comment on type jobs.bulk_job is 'One job of publish_bulk; scheduled_at is UTC.';
