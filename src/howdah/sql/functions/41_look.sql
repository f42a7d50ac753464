-- Looking at jobs: get, list, failures, wait, why, stats.

-- jobs.get: one job, by number or key; no row when there is none.
create or replace function jobs.get(i_job_id text)
    returns setof jobs."all"
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint;
begin
    if i_job_id ~ '^[0-9]{1,18}$' then
        v_id := i_job_id::bigint;
    else
        select j.id into v_id from howdah.job j where j.key = i_job_id collate "C";
    end if;
    return query select a.* from jobs."all" a where a.id = v_id;
end;
$$;

comment on function jobs.get is 'One job with its state, result and error; no row when there is none.';


-- howdah.newest: jobs of every state by number, newest first. Walks down the numbers until it has enough; the view as a
-- whole would be read and sorted.
create or replace function howdah.newest(i_queue text, i_task text, i_limit integer)
    returns setof jobs."all"
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_indexscan = on
    set enable_indexonlyscan = on
    set enable_bitmapscan = on
    set enable_tidscan = on
    set enable_nestloop = on
    set enable_material = on
    set enable_sort = on
    set join_collapse_limit = 8
    set from_collapse_limit = 8
    set jit = off
as $$
begin
    return query
        select a.* from howdah.job j cross join lateral (select x.* from jobs."all" x where x.id = j.id offset 0) a
         where (i_queue is null or a.queue = i_queue) and (i_task is null or j.task like i_task)
         order by j.id desc limit i_limit;
end;
$$;

comment on function howdah.newest is 'The newest jobs, whatever their state.';


-- jobs.list: the newest jobs.
create or replace function jobs.list(
    i_state text default null, i_queue text default null, i_task text default null, i_limit integer default 50)
    returns setof jobs."all"
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    if i_state is not null and i_state <> all (enum_range(null::howdah.state)::text[]) then
        perform howdah.refuse('state', format('%L is not a state', i_state),
            'States: ' || array_to_string(enum_range(null::howdah.state), ', ') || '.');
    end if;
    if i_limit is null or i_limit not between 1 and 100000 then
        perform howdah.refuse('limit', 'is out of range', 'Give a number from 1 to 100000.');
    end if;
    if i_state is null then
        return query select * from howdah.newest(i_queue, howdah.topic_pattern(i_task), i_limit);
        return;
    end if;
    return query
        select a.* from jobs."all" a
         where a.state = i_state and (i_queue is null or a.queue = i_queue)
           and (i_task is null or a.task like howdah.topic_pattern(i_task))
         order by a.id desc limit i_limit;
end;
$$;

comment on function jobs.list is 'The newest jobs; i_task may hold % as a wildcard.';


-- jobs.failures: every failed attempt of a job, and every death of its process.
create or replace function jobs.failures(i_job_id text)
    returns table (attempt integer, run_id bigint, at timestamptz, kind text, error text, traceback text)
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select f.attempt, f.run_id, f.at, f.kind, f.error, f.traceback
          from howdah.failure f where f.job_id = howdah.job_number(i_job_id) order by f.run_id;
end;
$$;

comment on function jobs.failures is 'Failed attempts of a job, oldest first. Raises JB003.';


-- jobs.unfinished: what a burst worker waits for. Without its topic it would wait for what it never claims.
create or replace function jobs.unfinished(
    i_queues text[] default null, i_topic text default null, i_labels text[] default null)
    returns bigint
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_topic constant text := howdah.topic_pattern(i_topic);
begin
    return (select count(*) from howdah.ready r
             where (i_queues is null or howdah.queue_of(r.queue) = any (i_queues))
               and (v_topic is null or r.task like v_topic)
               and (howdah.labels_of(r.queue) is null or howdah.labels_of(r.queue) <@ coalesce(i_labels, '{}'))
               and not exists (select from howdah.queue q where q.queue = howdah.queue_of(r.queue) and q.paused_at is not null))
         + (select count(*) from howdah.running r
              join howdah.job j on j.id = r.id
              left join howdah.task t on t.name = j.task
             where (i_queues is null or coalesce(j.queue, t.queue, 'default') = any (i_queues))
               and (v_topic is null or j.task like v_topic))
         + (select count(*) from howdah.ended)      -- children may become ready
         + (select count(*) from howdah.blocked b   -- a limit will have room
             where b.kind = 'limit' and (i_queues is null or b.queue = any (i_queues))
               and (v_topic is null or b.task like v_topic)
               and (howdah.labels_of(b.lane) is null or howdah.labels_of(b.lane) <@ coalesce(i_labels, '{}'))
               and not exists (select from howdah.queue q where q.queue = b.queue and q.paused_at is not null))
         + (select count(*) from howdah.suspect s   -- they wait for others to end
              join howdah.blocked b on b.id = s.id and b.kind = 'alone'
              join howdah.job j on j.id = b.id
              left join howdah.task t on t.name = j.task
             where (i_queues is null or coalesce(j.queue, t.queue, 'default') = any (i_queues))
               and (v_topic is null or j.task like v_topic)
               and not exists (select from howdah.queue q
                                where q.queue = coalesce(j.queue, t.queue, 'default') and q.paused_at is not null));
end;
$$;

comment on function jobs.unfinished is 'How many jobs are ready or running in these queues (null: in all), with tasks of this topic (null: with any).';


-- jobs.left_over: what a burst worker leaves behind.
create or replace function jobs.left_over(
    i_queues text[] default null, i_topic text default null, i_labels text[] default null)
    returns table (reason text, jobs bigint)
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_topic constant text := howdah.topic_pattern(i_topic);
begin
    return query
        select x.reason, count(*)
          from (select s.id, 'due later' as reason from howdah.scheduled s
                union all
                select b.id, case b.kind when 'task' then 'task unknown' when 'parent' then 'waits for other jobs' else 'arguments do not fit' end
                  from howdah.blocked b where b.kind not in ('alone', 'limit')
                union all
                select r.id, 'queue paused'
                  from howdah.ready r join howdah.queue q on q.queue = howdah.queue_of(r.queue) and q.paused_at is not null
                union all
                select r.id, 'labels missing'
                  from howdah.ready r where not (howdah.labels_of(r.queue) <@ coalesce(i_labels, '{}'))) x
          join howdah.job j on j.id = x.id
          left join howdah.task t on t.name = j.task
         where (i_queues is null or coalesce(j.queue, t.queue, 'default') = any (i_queues))
           and (v_topic is null or j.task like v_topic)
         group by x.reason order by x.reason;
end;
$$;

comment on function jobs.left_over is 'How many unfinished jobs of these queues and this topic no worker can start now, by reason.';


-- jobs.wait: blocks until a job ends. VOLATILE, so that each look has a new snapshot; at most 60 s, because a sleeping
-- function holds vacuum back.
create or replace function jobs.wait(i_job_id text, i_timeout numeric default 60)
    returns text
    language plpgsql
    volatile
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_id    bigint;
    v_until timestamptz;
    v_pause double precision := 0.005;
    v_state howdah.state;
begin
    perform howdah.require_read_committed('wait');
    if i_timeout is null or i_timeout not between 0 and 60 then
        perform howdah.refuse('timeout', format('%s is out of range', coalesce(i_timeout::text, 'null')),
            'Give 0 to 60 seconds and call again, or use: call jobs.wait_for(…).');
    end if;
    v_id := howdah.job_number(i_job_id);
    v_until := clock_timestamp() + make_interval(secs => i_timeout::double precision);
    loop
        v_state := howdah.state_of(v_id);
        if v_state is null then
            perform howdah.job_not_found(i_job_id);
        elsif v_state in ('succeeded', 'failed', 'cancelled', 'skipped') then
            return v_state;
        elsif clock_timestamp() >= v_until then
            return null;
        end if;
        perform pg_sleep(least(v_pause, extract(epoch from v_until - clock_timestamp())));
        v_pause := least(v_pause * 1.5, 0.25);
    end loop;
end;
$$;

comment on function jobs.wait is $$Block until a job ends; answers its state, or null when i_timeout seconds (at most 60) are over.

READ COMMITTED only (JB005). Raises JB003 when the job is not there or goes away.$$;


-- jobs.wait_for: the same for psql, without holding a snapshot: commits between looks.
create or replace procedure jobs.wait_for(i_job_id text, i_timeout numeric default null)
    language plpgsql
as $$
declare
    v_until timestamptz;
    v_state text;
begin
    if i_timeout not between 0 and 315576000 then     -- by hand: a procedure that commits cannot be a security definer
        raise exception 'timeout: % is out of range', i_timeout
            using errcode = 'JB001', column = 'timeout', hint = 'Give up to 315576000 seconds, or nothing to wait for ever.';
    end if;
    v_until := pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => i_timeout::double precision);
    loop
        v_state := jobs.wait(i_job_id, 0);
        commit;
        exit when v_state is not null or pg_catalog.clock_timestamp() >= v_until;
        perform pg_catalog.pg_sleep(0.1);
        commit;
    end loop;
    raise notice 'job % is %', i_job_id, coalesce(v_state, 'not finished');
end;
$$;

comment on procedure jobs.wait_for is 'Wait in psql until a job ends (i_timeout seconds; null: for ever), committing between looks.';


-- jobs.stats: flat numeric rows, for exporters.
create or replace function jobs.stats()
    returns table (name text, queue text, value numeric)
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := howdah.now();
begin
    return query
        select 'ready', howdah.queue_of(r.queue), sum(r.jobs)
          from (select x.queue, count(*) as jobs from howdah.ready x group by x.queue) r group by 2
        union all
        select c.state::text, coalesce(j.queue, t.queue, 'default'), count(*)
          from howdah.current c join howdah.job j on j.id = c.id left join howdah.task t on t.name = j.task
         group by 1, 2
        union all
        select f.state::text, null, count(*) from howdah.finished f group by f.state
        union all
        select 'oldest_ready_seconds', howdah.queue_of(r.queue),
               round(extract(epoch from v_now - (select j.created_at from howdah.job j where j.id = min(r.first))), 3)
          from (select x.queue, min(x.id) as first from howdah.ready x group by x.queue) r group by 2
        union all
        select 'expired', null, count(*) from howdah.running r where r.deadline < v_now
        union all
        select 'workers', null, count(*) from howdah.beat b join howdah.worker w on w.id = b.worker_id
         where b.beat_at + make_interval(secs => w.lease) >= v_now
        union all
        select 'paused', q.queue, 1 from howdah.queue q where q.paused_at is not null
        union all
        select 'result_ttl', q.queue, q.result_ttl::numeric from howdah.queue q where q.result_ttl is not null
        union all
        select 'failure_ttl', q.queue, q.failure_ttl::numeric from howdah.queue q where q.failure_ttl is not null
        union all
        select 'ageing', q.queue, q.ageing::numeric from howdah.queue q where q.ageing is not null
        union all
        select 'holes', null, count(*) from howdah.hole
        union all
        select 'oldest_transaction_seconds', null,
               round(coalesce(extract(epoch from clock_timestamp() - min(a.xact_start)), 0), 3)
          from pg_stat_activity a where a.datname = current_database() and a.pid <> pg_backend_pid();
end;
$$;

comment on function jobs.stats is 'Counts per state and queue and signs of trouble, one number a row.';


-- jobs.version: which SQL is installed.
create or replace function jobs.version()
    returns text
    language sql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
    select concat_ws(' ', m.release, m.digest) from howdah.migration m where m.name = 'functions';
$$;

comment on function jobs.version is 'Release and digest of the installed functions; a worker that needs a later release says which command to run.';
