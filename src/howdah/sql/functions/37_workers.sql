-- Workers: registration, heartbeat, death.

-- howdah.hold_worker: the worker's row, with a lock that keeps a sweep from declaring it dead until we are done.
--
-- An advisory lock instead of a row lock: it writes nothing, and works through a transaction pooler. i_era: see reconcile.
create or replace function howdah.hold_worker(i_worker_id bigint, i_era integer default null)
    returns howdah.worker
    language plpgsql
as $$
declare
    v_worker howdah.worker;
    v_held   boolean;
begin
    v_held := pg_try_advisory_xact_lock_shared(48177, (i_worker_id % 2147483647)::integer);
    select w.* into v_worker from howdah.worker w where w.id = i_worker_id;
    if not found then
        perform howdah.worker_unknown(i_worker_id);
    elsif not v_held then
        -- it is being declared dead right now, or somebody else sits on the lock: the next try will tell
        raise lock_not_available using message = format('worker %s is locked at this moment', i_worker_id),
            hint = 'Try again.';
    elsif i_era < v_worker.era then
        raise lock_not_available using message = format('an exchange of worker %s came after it was given up', i_worker_id),
            hint = 'Try again.';
    end if;
    return v_worker;
end;
$$;

comment on function howdah.hold_worker is 'Row of a registered worker, held until the transaction ends; JB007 else.';


-- howdah.hold_worker_alone: the same while no exchange of the worker is under way; none begins until we are done.
create or replace function howdah.hold_worker_alone(i_worker_id bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform howdah.hold_worker(i_worker_id);
    if not pg_try_advisory_xact_lock(48177, (i_worker_id % 2147483647)::integer) then
        raise lock_not_available using message = format('an exchange of worker %s is under way', i_worker_id), hint = 'Try again.';
    end if;
end;
$$;

comment on function howdah.hold_worker_alone is 'Hold a registered worker that has no exchange under way.';


-- howdah.register_tasks: what a worker declares; in name order, so that workers starting together cannot deadlock.
create or replace function howdah.register_tasks(i_tasks jsonb, i_now timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_task record;
begin
    for v_task in
        select * from jsonb_to_recordset(i_tasks) t (
            name text, queue text, timeout numeric, max_retries integer, priority integer, backoff numeric[],
            ttl numeric, result_ttl numeric, failure_ttl numeric, signature text,
            requires text[], "unique" jsonb, unique_mode text, unique_until text, unique_for numeric)
         order by t.name collate "C"
    loop
        perform howdah.check_name('task', v_task.name);
        if v_task.queue is not null then
            perform howdah.check_name('queue', v_task.queue);
        end if;
        perform howdah.check_task_options(v_task.timeout, v_task.max_retries, v_task.priority, v_task.backoff,
            v_task.ttl, v_task.result_ttl, v_task.failure_ttl);
        perform howdah.check_labels('requires', v_task.requires);
        if v_task.requires <> '{}' then
            perform howdah.use_controls(true);
        end if;
        perform howdah.check_unique(null, v_task."unique", v_task.unique_mode, v_task.unique_until, v_task.unique_for);
        if v_task."unique" <> 'false' then
            perform setval('howdah.unique_tasks', 1);
        end if;
        insert into howdah.task as t (name, queue, timeout, max_retries, priority, backoff, ttl, result_ttl,
                                      failure_ttl, signature, requires, "unique", unique_mode, unique_until, unique_for,
                                      registered_at, changed_at)
        values (v_task.name, v_task.queue, v_task.timeout, v_task.max_retries, v_task.priority, v_task.backoff,
                v_task.ttl, v_task.result_ttl, v_task.failure_ttl, v_task.signature, howdah.labels(v_task.requires),
                nullif(v_task."unique", 'false'), v_task.unique_mode, v_task.unique_until, v_task.unique_for, i_now, i_now)
        on conflict (name) do update
           set queue = excluded.queue, timeout = excluded.timeout, max_retries = excluded.max_retries,
               priority = excluded.priority, backoff = excluded.backoff, ttl = excluded.ttl,
               result_ttl = excluded.result_ttl, failure_ttl = excluded.failure_ttl, signature = excluded.signature,
               "unique" = excluded."unique", unique_mode = excluded.unique_mode, unique_until = excluded.unique_until,
               unique_for = excluded.unique_for, changed_at = excluded.changed_at, requires = excluded.requires
         where (t.queue, t.timeout, t.max_retries, t.priority, t.backoff, t.ttl, t.result_ttl, t.failure_ttl, t.signature,
                t.requires, t."unique", t.unique_mode, t.unique_until, t.unique_for)
               is distinct from
               (excluded.queue, excluded.timeout, excluded.max_retries, excluded.priority, excluded.backoff, excluded.ttl,
                excluded.result_ttl, excluded.failure_ttl, excluded.signature, excluded.requires, excluded."unique",
                excluded.unique_mode, excluded.unique_until, excluded.unique_for);
    end loop;
end;
$$;

comment on function howdah.register_tasks is 'Upsert task registrations.';


-- howdah.parked_tasks: the tasks that parked jobs wait for; steps from one to the next, however many jobs each has.
create or replace function howdah.parked_tasks()
    returns setof text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_task text;
begin
    select b.task into v_task from howdah.blocked b
     where b.kind in ('task', 'arguments') order by b.task, b.id limit 1;
    while v_task is not null loop
        return next v_task;
        select min(x.task) into v_task
          from (select b.task from howdah.blocked b
                where b.kind in ('task', 'arguments') and b.task > v_task collate "C" order by b.task, b.id limit 1) x;
    end loop;
end;
$$;

comment on function howdah.parked_tasks is 'Tasks of parked jobs, each once.';


-- howdah.adopt: jobs that waited for somebody who knows their task ─► ready, in one statement.
--
-- Locks: the rows moved, SKIP LOCKED: a worker's start and maintain must not wait for somebody's open transaction, nor
-- deadlock with it; adopt_known comes back for what was held.
create or replace function howdah.adopt(i_tasks text[], i_patterns text[], i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_tasks constant text[] := array(
        select p from howdah.parked_tasks() p where p = any (i_tasks) or p like any (i_patterns));
    v_placed constant bigint := howdah.place_anew(i_tasks);
    v_parked bigint;
begin
    with parked as materialized (
        select b.ctid as row from howdah.blocked b
         where b.task = any (v_tasks) and b.kind in ('task', 'arguments')
           for update skip locked
    ), removed as (
        delete from howdah.blocked b using parked p where b.ctid = p.row returning b.id, b.attempt
    ), ordered as materialized (
        select nextval('howdah.position_seq') as pos, x.id, x.attempt from (select * from removed order by id) x
    )
    insert into howdah.ready (queue, priority, pos, id, attempt, task, key_limit, asks)
    select howdah.lane_of(coalesce(j.queue, t.queue), j.tenant, coalesce(j.requires, t.requires)),
           coalesce(j.priority, t.priority, 0), o.pos, o.id, o.attempt, j.task, howdah.limit_id('key', j.concurrency_key),
           howdah.asks(j.slots, j.concurrency_limit)
      from ordered o join howdah.job j on j.id = o.id left join howdah.task t on t.name = j.task;
    get diagnostics v_parked = row_count;
    if v_placed + v_parked > 0 then
        perform howdah.ring(null, null, 1000);     -- all kinds, wherever the jobs went
    end if;
    return v_placed + v_parked;
end;
$$;

comment on function howdah.adopt is 'Bring parked jobs of these tasks back to ready.';


-- howdah.place_anew: ready jobs, and those that wait for a limit, that were published before their task was known ─► the lane
-- that its options name.
--
-- Reads all of ready, so only where a task has or had such options. Locks: the rows moved, SKIP LOCKED.
create or replace function howdah.place_anew(i_tasks text[])
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_tasks constant text[] := array(
        select t.name from howdah.task t
         where t.name = any (i_tasks)
           -- changed: an earlier registration may have placed jobs elsewhere
           and (t.queue is not null or t.priority is not null or t.requires is not null or t.changed_at > t.registered_at));
    v_count bigint;
begin
    if v_tasks = '{}' then
        return 0;
    end if;
    with misplaced as materialized (
        select r.ctid as row from howdah.ready r join howdah.job j on j.id = r.id join howdah.task t on t.name = r.task
         where r.task = any (v_tasks)
           and (r.queue <> howdah.lane_of(coalesce(j.queue, t.queue), j.tenant, coalesce(j.requires, t.requires))
                or j.priority is null and r.priority <> coalesce(t.priority, 0))
           for update of r skip locked
    ), in_line as materialized (
        select b.ctid as row from howdah.blocked b join howdah.job j on j.id = b.id join howdah.task t on t.name = b.task
         where b.kind = 'limit' and b.task = any (v_tasks)
           and (b.lane <> howdah.lane_of(coalesce(j.queue, t.queue), j.tenant, coalesce(j.requires, t.requires))
                or j.priority is null and b.priority <> coalesce(t.priority, 0))
           for update of b skip locked
    ), from_line as (
        delete from howdah.blocked b using in_line l where b.ctid = l.row returning b.id, b.attempt, b.limit_id
    ), hinted as (      -- those behind them may be the first now
        insert into howdah.freed (limit_id, slots) select distinct f.limit_id, 0 from from_line f
    ), from_ready as (
        delete from howdah.ready r using misplaced m where r.ctid = m.row returning r.id, r.attempt
    ), removed as (
        select r.id, r.attempt from from_ready r union all select f.id, f.attempt from from_line f
    ), ordered as materialized (
        select nextval('howdah.position_seq') as pos, x.id, x.attempt from (select * from removed order by id) x
    )
    insert into howdah.ready (queue, priority, pos, id, attempt, task, key_limit, asks)
    select howdah.lane_of(coalesce(j.queue, t.queue), j.tenant, coalesce(j.requires, t.requires)),
           coalesce(j.priority, t.priority, 0), o.pos, o.id, o.attempt, j.task, howdah.limit_id('key', j.concurrency_key),
           howdah.asks(j.slots, j.concurrency_limit)
      from ordered o join howdah.job j on j.id = o.id join howdah.task t on t.name = j.task;
    get diagnostics v_count = row_count;
    return v_count;
end;
$$;

comment on function howdah.place_anew is 'Move ready jobs to the lane that their task has declared since.';


-- howdah.kind_of: a number for a worker's filters; what it may claim is the same for all workers of a kind.
create or replace function howdah.kind_of(
    i_queues text[], i_topic text, i_tasks text[], i_patterns text[], i_labels text[] default null)
    returns bigint
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select hashtextextended(jsonb_build_array(i_topic,
        case when i_queues is not null then array(select distinct q from unnest(i_queues) q order by q) end,
        array(select distinct p from unnest(i_patterns) p order by p),
        array(select distinct t from unnest(i_tasks) t order by t),
        coalesce(howdah.labels(i_labels), '{}'))::text, 0);
$$;

comment on function howdah.kind_of is 'Number of the kind of workers with these filters.';


-- jobs.worker_started: registers a worker under a new number.
create or replace function jobs.worker_started(
    i_name   text,
    i_tasks  jsonb default '[]',
    i_queues text[] default null,
    i_topic  text default null,
    i_allow  text[] default null,
    i_host   text default null,
    i_pid    integer default null,
    i_lease  numeric default 15,
    i_labels text[] default null
)
    returns bigint
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now      constant timestamptz := howdah.now();
    v_tasks    text[];
    v_patterns text[];
    v_id       bigint;
begin
    perform howdah.check_number('lease', coalesce(i_lease, 15), 1, 86400);
    if jsonb_typeof(i_tasks) is distinct from 'array' then
        perform howdah.refuse('tasks', 'is not a JSON array', 'Give [{"name": …}, …].');
    end if;
    begin
        perform howdah.register_tasks(i_tasks, v_now);
    exception when data_exception then
        perform howdah.refuse('tasks', 'has a field of the wrong type: ' || sqlerrm, 'See the task options of jobs.publish.');
    end;
    v_tasks := array(select e ->> 'name' from jsonb_array_elements(i_tasks) e);
    perform howdah.check_name('allow', a) from unnest(i_allow) a;
    perform howdah.check_name('queues', q) from unnest(i_queues) q;
    perform howdah.check_labels('labels', i_labels);
    v_patterns := array(select howdah.topic_pattern(a) || '.%' from unnest(i_allow) a);
    perform howdah.live();
    insert into howdah.worker (id, name, host, pid, queues, topic, tasks, allow, patterns, kind, lease, started_at, labels)
    values (nextval('howdah.worker_seq'), coalesce(i_name, 'worker'), i_host, i_pid, i_queues, i_topic, v_tasks,
            i_allow, v_patterns, howdah.kind_of(i_queues, i_topic, v_tasks, v_patterns, i_labels), coalesce(i_lease, 15), v_now,
            coalesce(howdah.labels(i_labels), '{}'))
    returning id into v_id;
    insert into howdah.beat (worker_id, beat_at) values (v_id, v_now);
    perform howdah.adopt(v_tasks, v_patterns, v_now);
    return v_id;
end;
$$;

comment on function jobs.worker_started is $$Register a worker with the tasks it knows; answers its number, new at each start.

What the tasks declare (queue, timeout, max_retries, …) counts for jobs published from anywhere that do not give it. Jobs that
waited for a worker who knows these tasks become ready. i_allow names packages whose functions it may run; i_lease is seconds. Several
queues are served in the order given. i_labels: what it has, for jobs that require it.$$;


-- howdah.unregister: removes a worker that holds no run any more.
create or replace function howdah.unregister(i_worker_id bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from howdah.sleeper s where s.worker_id = i_worker_id;
    -- it may have been the one who looks for its kind
    perform howdah.hand_over(w.id, w.kind, howdah.now()) from howdah.worker w where w.id = i_worker_id;
    delete from howdah.beat b where b.worker_id = i_worker_id;
    delete from howdah.worker w where w.id = i_worker_id;
    delete from howdah.notice n where n.worker_id = i_worker_id;
end;
$$;

comment on function howdah.unregister is 'Remove a worker without runs.';


-- jobs.worker_stopped: unregisters a worker; its runs ─► ready.
create or replace function jobs.worker_stopped(i_worker_id bigint, i_crashed boolean default false)
    returns bigint
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform howdah.require_read_committed('worker_stopped');    -- an older snapshot misses runs claimed meanwhile
    -- waits for an exchange under way: after it no run of this worker can appear any more
    perform pg_advisory_xact_lock(48177, (i_worker_id % 2147483647)::integer);
    return howdah.hand_back(i_worker_id, coalesce(i_crashed, false), howdah.now());
end;
$$;

comment on function jobs.worker_stopped is $$Unregister a worker; answers how many runs were handed back.

i_crashed: its process died; that counts against its jobs as a death, not as an attempt.$$;


-- jobs.heartbeat: extends a worker's lease, or plain runs by their timeout; tells what to stop.
--
-- Fence: a worker that was declared dead gets JB007; a plain run that is not current is lost.
create or replace function jobs.heartbeat(i_worker_id bigint default null, i_run_ids bigint[] default null)
    returns table (run_id bigint, verdict text)
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := howdah.now();
begin
    if i_worker_id is null then
        return query select * from howdah.extend(i_run_ids, v_now);
        return;
    end if;
    perform howdah.hold_worker(i_worker_id);
    perform howdah.live();
    update howdah.beat b set beat_at = v_now where b.worker_id = i_worker_id;
    return query
        select n.run_id, n.verdict from howdah.notice n
         where n.worker_id = i_worker_id and (i_run_ids is null or n.run_id = any (i_run_ids))
         order by n.run_id;
end;
$$;

comment on function jobs.heartbeat is $$Extend a lease; rows only for runs with a verdict: lost (not yours any more) or cancel (please stop).

With i_worker_id it extends the worker's lease, JB007 when it is not registered. Without, it extends the given runs of a
plain consumer by their timeout from now.$$;


-- howdah.extend: plain consumers' runs get their timeout anew; those that are not current are lost.
create or replace function howdah.extend(i_run_ids bigint[], i_now timestamptz)
    returns table (run_id bigint, verdict text)
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        with extended as (
            update howdah.running r
               set deadline = i_now + make_interval(secs => coalesce(j.timeout, t.timeout, 60))
              from howdah.job j left join howdah.task t on t.name = j.task
             where r.run_id = any (i_run_ids) and r.worker_id is null and j.id = r.id
            returning r.run_id
        )
        select g.run_id, case when e.run_id is null then 'lost' else 'cancel' end
          from (select distinct u.run_id from unnest(i_run_ids) u (run_id)) g
          left join extended e on e.run_id = g.run_id
          left join howdah.notice n on n.run_id = g.run_id
         where e.run_id is null or n.verdict = 'cancel'
         order by 1;
end;
$$;

comment on function howdah.extend is 'Extend runs of plain consumers.';
