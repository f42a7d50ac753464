-- publish: nothing ─► ready or scheduled, in the caller's transaction.
--
-- Writes no row that another publisher writes (queue, lane, task, counter): such rows would make publishers wait for
-- each other's transactions and deadlock. Keys are the one exception: they are inserted in key order, and a second
-- publisher of a key waits until the first one's transaction has ended.

-- howdah.publish_bodies: jobs that differ in their bodies only; no keys. What the caller did not give comes from the
-- task's registration, as in publish_jobs, which does the same for jobs that differ in anything: one statement for all
-- that a job can have costs 45 µs to start and twice the time per row (docs/decisions).
--
-- The caller has checked what it passes. Answers the numbers in the order given; null: their task makes them unique.
create or replace function howdah.publish_bodies(i_like howdah.publication, i_bodies jsonb[])
    returns bigint[]
    language plpgsql
as $$
declare
    v_now        constant timestamptz := howdah.now();
    v_task       howdah.task;
    v_queue      text;
    v_priority   smallint;
    v_run_at     constant timestamptz := howdah.due(i_like.scheduled_at, i_like.delay, v_now);
    v_expires_at timestamptz;
    v_ids        bigint[];
    v_requires   text[];
    v_lane       text;
begin
    select t.* into v_task from howdah.task t where t.name = i_like.task collate "C";
    if v_task."unique" is not null then
        return null;        -- not as plain as they look: publish_jobs
    end if;
    v_queue := coalesce(i_like.queue, v_task.queue);
    v_priority := case when i_like.at_front then 32767 else coalesce(i_like.priority::smallint, v_task.priority) end;
    v_requires := coalesce(howdah.labels(i_like.requires), v_task.requires);
    v_lane := howdah.lane_of(v_queue, i_like.tenant, v_requires);
    v_expires_at := v_now + howdah.seconds(coalesce(i_like.ttl::double precision, v_task.ttl));

    if pg_sequence_last_value('howdah.bounds'::regclass) > 0 then
        perform howdah.check_room(coalesce(v_queue, 'default'), cardinality(i_bodies));
    end if;
    if i_like.tenant is not null or v_requires <> '{}' then
        perform howdah.use_controls(true);
    end if;
    v_ids := array(select nextval('howdah.position_seq') from unnest(i_bodies));
    insert into howdah.job (id, queue, task, body, priority, max_retries, timeout, backoff, created_at,
                            scheduled_at, expires_at, result_ttl, failure_ttl, headers, meta, tenant, requires)
    select u.id, v_queue, i_like.task, u.body, v_priority,
           coalesce(i_like.max_retries, v_task.max_retries),
           coalesce(i_like.timeout::double precision, v_task.timeout),
           coalesce(i_like.backoff::double precision[], v_task.backoff), v_now, v_run_at, v_expires_at,
           coalesce(i_like.result_ttl::double precision, v_task.result_ttl),
           coalesce(i_like.failure_ttl::double precision, v_task.failure_ttl), i_like.headers, i_like.meta,
           i_like.tenant, v_requires
      from unnest(v_ids, i_bodies) u (id, body);
    if v_run_at is null then
        insert into howdah.ready (queue, priority, pos, id, attempt, task)
        select v_lane, coalesce(v_priority, 0::smallint), u.id, u.id, 0, i_like.task
          from unnest(v_ids) u (id);
    else
        insert into howdah.scheduled (id, run_at, attempt) select u.id, v_run_at, 0 from unnest(v_ids) u (id);
    end if;
    if v_expires_at is not null then
        insert into howdah.expiry (expires_at, id) select v_expires_at, u.id from unnest(v_ids) u (id);
    end if;
    -- whoever sleeps looks every 5 s at least: only what is due earlier needs the bell
    if v_run_at is null or v_run_at < v_now + interval '5 s' then
        perform howdah.ring(array[v_lane], array[i_like.task],
                            howdah.rings_for(cardinality(i_bodies)));
    end if;
    return v_ids;
end;
$$;

comment on function howdah.publish_bodies is 'Publish jobs that differ in their bodies only; answers their numbers.';


-- howdah.check_publications: refuses what cannot be published, and what finds its queue full.
create or replace function howdah.check_publications(i_jobs howdah.publication[])
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform howdah.check_publication(p) from unnest(i_jobs) p where not coalesce(howdah.is_plain(p), false);
    if pg_sequence_last_value('howdah.bounds'::regclass) > 0 then
        perform howdah.check_room(g.queue, g.jobs)
           from (select coalesce(p.queue, t.queue, 'default') as queue, count(*) as jobs
                   from unnest(i_jobs) p left join howdah.task t on t.name = p.task collate "C" group by 1) g;
    end if;
    -- before the jobs can be seen: the plain claim knows nothing of keys
    if exists (select from unnest(i_jobs) p where p.concurrency_key is not null) then
        perform howdah.use_controls();
    end if;
end;
$$;

comment on function howdah.check_publications is 'Refuse what cannot be published.';


-- howdah.jobs_of: the rows of howdah.job for what is to be published, numbered in the order given. What the caller did not give
-- comes from the task's registration; a task that no worker has registered yet leaves it open, so that its options count once
-- one does.
create or replace function howdah.jobs_of(i_jobs howdah.publication[], i_now timestamptz)
    returns setof howdah.job
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select p.id, p.key, coalesce(p.queue, t.queue), p.task, p.body,
           case when p.at_front then 32767::smallint else coalesce(p.priority::smallint, t.priority) end,
           coalesce(p.max_retries, t.max_retries), coalesce(p.timeout::double precision, t.timeout),
           coalesce(p.backoff::double precision[], t.backoff), i_now, howdah.due(p.scheduled_at, p.delay, i_now),
           i_now + howdah.seconds(coalesce(p.ttl::double precision, t.ttl)),
           coalesce(p.result_ttl::double precision, t.result_ttl), coalesce(p.failure_ttl::double precision, t.failure_ttl),
           p.headers, p.meta, p.concurrency_key, p.concurrency_limit, p.slots, p.tenant,
           coalesce(howdah.labels(p.requires), t.requires), howdah.parents(p.depends_on), p.allow_failure,
           p.uniqueness ->> 'unique_key', p.uniqueness ->> 'unique_until'
      -- numbers are drawn before the join, which need not keep the order given
      from (select coalesce((u.uniqueness ->> 'number')::bigint, nextval('howdah.position_seq')) as id, u.*
              from unnest(i_jobs) u) p
      left join howdah.task t on t.name = p.task collate "C";
end;
$$;

comment on function howdah.jobs_of is 'Rows of job for what is to be published.';


-- howdah.publish_jobs: jobs that differ in anything, keys included.
create or replace function howdah.publish_jobs(i_jobs howdah.publication[])
    returns setof jobs.published
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now     constant timestamptz := howdah.now();
    v_ids     bigint[];
    v_keys    text[];
    v_states  text[];
    v_soon    boolean;
    v_given   bigint[];
    v_controlled boolean;
begin
    perform howdah.check_publications(i_jobs);
    if howdah.may_be_unique(i_jobs[1]) then
        return query select p.* from howdah.publish_unique(i_jobs) p;
        return;
    end if;
    with given as materialized (
        select g.* from howdah.jobs_of(i_jobs, v_now) g
    ), plain as (
        insert into howdah.job select g.* from given g where g.key is null returning *
    ), keyed as (
        -- apart, because ON CONFLICT writes every row twice; in key order, so that two publishers cannot deadlock
        insert into howdah.job select g.* from given g where g.key is not null order by g.key collate "C", g.id
            on conflict (key) where key is not null do nothing
        returning *
    ), inserted as materialized (
        select i.id, i.key, howdah.lane_of(i.queue, i.tenant, i.requires) as lane, coalesce(i.priority, 0::smallint) as priority,
               i.task, i.scheduled_at, i.expires_at, i.tenant is not null or i.requires <> '{}' as controlled,
               howdah.limit_id('key', i.concurrency_key) as key_limit, howdah.asks(i.slots, i.concurrency_limit) as asks,
               howdah.awaited(i.depends_on, coalesce(i.allow_failure, false)) as awaited, i.allow_failure
          from (select * from plain union all select * from keyed) i
    ), made_ready as (
        insert into howdah.ready (queue, priority, pos, id, attempt, task, key_limit, asks)
        select i.lane, i.priority, i.id, i.id, 0, i.task, i.key_limit, i.asks from inserted i
         where i.scheduled_at is null and i.awaited is null
    ), made_scheduled as (
        insert into howdah.scheduled (id, run_at, attempt)
        select i.id, i.scheduled_at, 0 from inserted i where i.scheduled_at is not null and i.awaited is null
    ), made_blocked as (
        insert into howdah.blocked
        select b.* from inserted i cross join lateral howdah.tie(i.id, i.task, i.awaited, i.allow_failure, v_now) b
         where i.awaited is not null
    ), made_expiry as (
        insert into howdah.expiry (expires_at, id) select i.expires_at, i.id from inserted i where i.expires_at is not null
    )
    select array_agg(i.id order by i.id), array_agg(i.key order by i.id),
           array_agg(case when i.awaited is not null then 'blocked' when i.scheduled_at is null then 'ready'
                          else 'scheduled' end order by i.id),
           -- whoever sleeps looks every 5 s at least: only what is due earlier needs the bell
           bool_or(i.awaited is null and (i.scheduled_at is null or i.scheduled_at < v_now + interval '5 s')),
           (select array_agg(g.id order by g.id) from given g), bool_or(i.controlled)
      into v_ids, v_keys, v_states, v_soon, v_given, v_controlled from inserted i;

    perform howdah.use_controls(true) where v_controlled;
    perform howdah.ring_for(v_ids) where v_soon;
    if coalesce(cardinality(v_ids), 0) = cardinality(i_jobs) then
        return query select howdah.public_id(u.id, u.key), u.id, u.state, true
                       from unnest(v_ids, v_keys, v_states) u (id, key, state);
    else
        return query select * from howdah.published_or_existing(i_jobs, v_given, v_ids);
    end if;
end;
$$;

comment on function howdah.publish_jobs is 'Publish jobs in the order given; a key that exists returns its job.';


-- howdah.published_or_existing: the answer when keys existed. A new statement, because the other publisher's row may
-- have been committed after the insert's snapshot.
create or replace function howdah.published_or_existing(i_jobs howdah.publication[], i_given bigint[], i_new bigint[])
    returns setof jobs.published
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_job   howdah.publication;
    v_id    bigint;
    v_state howdah.state;
begin
    for n in 1..cardinality(i_jobs) loop
        v_job := i_jobs[n];
        v_id := i_given[n];     -- numbers were drawn in the order given, also for those that then met a key
        if v_id <> all (i_new) or i_new is null then
            select j.id into v_id from howdah.job j where j.key = v_job.key collate "C";
        end if;
        v_state := howdah.state_of(v_id);
        if v_state is null then
            -- deleted since the insert met it: the key is free again, and the caller must not be told of a job that is gone
            return query select p.* from howdah.publish_jobs(array[v_job]) p;
        else
            return query select howdah.public_id(v_id, v_job.key), v_id, v_state::text, v_id = i_given[n];
        end if;
    end loop;
end;
$$;

comment on function howdah.published_or_existing is 'Answer of publish where some keys existed already.';


-- jobs.publish: one job.
create or replace function jobs.publish(
    i_task         text,
    i_body         jsonb default null,
    i_scheduled_at timestamptz default null,
    i_timeout      numeric default null,
    i_priority     integer default null,
    i_max_retries  integer default null,
    i_queue        text default null,
    i_key          text default null,
    i_delay        numeric default null,
    i_ttl          numeric default null,
    i_result_ttl   numeric default null,
    i_failure_ttl  numeric default null,
    i_backoff      numeric[] default null,
    i_headers      jsonb default null,
    i_meta         jsonb default null,
    i_concurrency_key   text default null,
    i_concurrency_limit integer default null,
    i_slots             integer default null,
    i_at_front          boolean default null,
    i_tenant            text default null,
    i_requires          text[] default null,
    i_depends_on        text[] default null,
    i_allow_failure     boolean default null,
    i_unique_key        text default null,
    i_unique            jsonb default null,
    i_unique_mode       text default null,
    i_unique_until      text default null,
    i_unique_for        numeric default null
)
    returns jobs.published
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_job       howdah.publication;
    v_published jobs.published;
begin
    if num_nonnulls(
           i_scheduled_at, i_timeout, i_priority, i_max_retries, i_queue, i_key, i_delay, i_ttl, i_result_ttl, i_failure_ttl,
           i_backoff, i_headers, i_meta, i_concurrency_key, i_concurrency_limit, i_slots, i_at_front, i_tenant, i_requires,
           i_depends_on, i_allow_failure, i_unique_key, i_unique, i_unique_mode, i_unique_until, i_unique_for) = 0 then
        v_published.id := howdah.publish_plain(i_task, i_body);
        if v_published.id is not null then
            v_published.job_id := v_published.id;
            v_published.state := 'ready';
            v_published.created := true;
            return v_published;
        end if;
    end if;
    v_job := row(
        i_task, i_body, i_scheduled_at, i_timeout, i_priority, i_max_retries, i_queue, i_key, i_delay, i_ttl,
        i_result_ttl, i_failure_ttl, i_backoff, i_headers, i_meta, i_concurrency_key, i_concurrency_limit, i_slots,
        i_at_front, i_tenant, i_requires, i_depends_on, i_allow_failure, null);
    if i_key is not null or i_concurrency_key is not null or i_slots is not null or i_depends_on is not null
       or num_nonnulls(i_unique_key, i_unique, i_unique_mode, i_unique_until, i_unique_for) > 0 then
        if num_nonnulls(i_unique_key, i_unique, i_unique_mode, i_unique_until, i_unique_for) > 0 then
            v_job.uniqueness := to_jsonb(row(
                i_unique_key, i_unique, i_unique_mode, i_unique_until, i_unique_for, null)::howdah.uniqueness);
        end if;
        select p.* into v_published from howdah.publish_jobs(array[v_job]) p;
        return v_published;
    end if;
    if not coalesce(howdah.is_plain(v_job), false) then
        perform howdah.check_publication(v_job);
    end if;
    v_published.id := (howdah.publish_bodies(v_job, array[i_body]))[1];
    if v_published.id is null then      -- its task makes it unique
        select p.* into v_published from howdah.publish_jobs(array[v_job]) p;
        return v_published;
    end if;
    v_published.job_id := v_published.id;
    v_published.state := case when howdah.due(i_scheduled_at, i_delay, howdah.now()) is null then 'ready' else 'scheduled' end;
    v_published.created := true;
    return v_published;
end;
$$;

comment on function jobs.publish is $$Publish one job; it exists when the calling transaction commits.

What is not given comes from the task's registration, else: queue default, timeout 60 s, 3 retries, priority 0. Larger
priority first, FIFO within. A moment in the past means now. Publishing a key that exists returns that job (created =
false) and publishes nothing. Delays and ttls are seconds. i_at_front goes before every priority. Jobs of one
i_concurrency_key share i_concurrency_limit slots (1), of which each takes i_slots (1). Claims go round the tenants of a queue,
so that nobody's many jobs keep those of another waiting. A worker that runs it has all labels of i_requires. A job that
i_depends_on others (ids or keys) is blocked until all of them have succeeded, and cancelled when one cannot; with
i_allow_failure it runs however they end. Raises JB001 naming the field, JB008 when its queue is full.

With a unique key, given as i_unique_key or made from the body by i_unique (true: the whole; ["customer"]: these arguments or
fields), there is one job: while one holds the key i_unique_mode says what a publish does: skip (the default; returns that job,
created = false), replace (gives it the new body, options and time), merge (appends the body's lists to its own; keeps its time)
or reject (JB009, naming it). It holds the key until it has finished, or i_unique_until: started, or waiting (while it waits,
for a retry too; the default for replace and merge); and in any case for i_unique_for seconds.$$;


-- jobs.publish_each: the fast bulk form.
create or replace function jobs.publish_each(
    i_task         text,
    i_bodies       jsonb,
    i_scheduled_at timestamptz default null,
    i_timeout      numeric default null,
    i_priority     integer default null,
    i_max_retries  integer default null,
    i_queue        text default null,
    i_delay        numeric default null,
    i_ttl          numeric default null,
    i_result_ttl   numeric default null,
    i_failure_ttl  numeric default null,
    i_backoff      numeric[] default null,
    i_headers      jsonb default null,
    i_meta         jsonb default null,
    i_concurrency_key   text default null,
    i_concurrency_limit integer default null,
    i_slots             integer default null,
    i_at_front          boolean default null,
    i_tenant            text default null,
    i_requires          text[] default null
)
    returns bigint[]
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_like constant howdah.publication := row(
        i_task, null, i_scheduled_at, i_timeout, i_priority, i_max_retries, i_queue, null, i_delay, i_ttl,
        i_result_ttl, i_failure_ttl, i_backoff, i_headers, i_meta, i_concurrency_key, i_concurrency_limit, i_slots,
        i_at_front, i_tenant, i_requires, null, null, null);
    v_job    howdah.publication := v_like;
    v_jobs   howdah.publication[] := '{}';
    v_bodies jsonb[];
    v_ids    bigint[];
begin
    if jsonb_typeof(i_bodies) is distinct from 'array' then
        perform howdah.refuse('bodies', 'is not a JSON array', 'Give one body for each job: [{"args": [1]}, …].');
    end if;
    perform howdah.check_publication(v_like);
    perform howdah.check_json(format('bodies[%s]', b.n - 1), b.body, 1048576)
       from jsonb_array_elements(i_bodies) with ordinality b (body, n) where not howdah.is_small(b.body);
    v_bodies := array(select b.body from jsonb_array_elements(i_bodies) with ordinality b (body, n) order by b.n);
    if i_concurrency_key is not null or i_slots is not null then
        foreach v_job.body in array v_bodies loop
            v_jobs := v_jobs || v_job;
        end loop;
        return array(select p.id from howdah.publish_jobs(v_jobs) p);
    end if;
    v_ids := howdah.publish_bodies(v_like, v_bodies);
    return coalesce(v_ids, howdah.publish_bodies_unique(v_like, v_bodies));
end;
$$;

comment on function jobs.publish_each is $$Publish one job for each body of a JSON array, in one statement; all or nothing.

The other parameters are those of publish and count for all of them; there is no key. Answers the jobs' numbers in the
order given; of a task that makes its jobs unique, these may be jobs that there were. Twice as fast as publish_many, whose jobs may
differ in everything. Raises JB001 naming the field.$$;


-- jobs.publish_bulk: pgjobs' bulk form.
create or replace function jobs.publish_bulk(i_jobs jobs.bulk_job[])
    returns setof jobs.published
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query select p.* from howdah.publish_jobs(array(
        select row(b.task, b.body, b.scheduled_at at time zone 'UTC', b.timeout, b.priority, b.max_retries,
                   null, null, null, null, null, null, null, null, null, null, null, null,
                   null, null, null, null, null, null)::howdah.publication
          from unnest(i_jobs) with ordinality b (task, body, scheduled_at, timeout, priority, max_retries, n)
         order by b.n)) p;
end;
$$;

comment on function jobs.publish_bulk is $$Publish an array of jobs.bulk_job in one statement; all or nothing.

Null fields are "not given"; scheduled_at is UTC.$$;


-- howdah.publications: publish_many's documents as rows, refused with the field's name when they are not.
create or replace function howdah.publications(i_jobs jsonb)
    returns howdah.publication[]
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_known  constant text[] := array[
        'task', 'body', 'scheduled_at', 'timeout', 'priority', 'max_retries', 'queue', 'key', 'delay', 'ttl',
        'result_ttl', 'failure_ttl', 'backoff', 'headers', 'meta', 'concurrency_key', 'concurrency_limit', 'slots',
        'at_front', 'tenant', 'requires', 'depends_on', 'allow_failure'];
    v_unique constant text[] := array['unique_key', 'unique', 'unique_mode', 'unique_until', 'unique_for'];
    v_odd    jsonb;
    v_jobs   jsonb;          -- null: as they are given
begin
    if jsonb_typeof(i_jobs) is distinct from 'array' then
        perform howdah.refuse('jobs', 'is not a JSON array', 'Give [{"task": …, "body": …}, …].');
    end if;
    select e into v_odd from jsonb_array_elements(i_jobs) e
     where case when jsonb_typeof(e) = 'object' then e - v_known <> '{}'::jsonb else true end limit 1;
    if v_odd is not null then
        -- a second look, which most need not pay for; the first one's part says that there is one
        select jsonb_agg(case when jsonb_typeof(e.job) = 'object' and (e.n = 1 or e.job ?| v_unique)
                              then (e.job - v_unique) || jsonb_build_object('uniqueness', e.job - v_known)
                              else e.job end order by e.n),
               (array_agg(e.job) filter (where case when jsonb_typeof(e.job) = 'object'
                                                    then e.job - v_known - v_unique <> '{}'::jsonb else true end))[1]
          into v_jobs, v_odd
          from jsonb_array_elements(i_jobs) with ordinality e (job, n);
    end if;
    if v_odd is not null then
        perform howdah.refuse('jobs', format('has an element with unknown fields: %s',
            left(case when jsonb_typeof(v_odd) = 'object' then (v_odd - v_known - v_unique)::text else v_odd::text end, 200)),
            'Known fields: ' || array_to_string(v_known || v_unique, ', ') || '.');
    end if;
    begin
        if v_jobs is not null then
            perform jsonb_populate_record(null::howdah.uniqueness, e -> 'uniqueness') from jsonb_array_elements(v_jobs) e;
        end if;
        return array(select p from jsonb_populate_recordset(null::howdah.publication, coalesce(v_jobs, i_jobs)) p);
    exception when data_exception then
        perform howdah.refuse('jobs', 'has a field of the wrong type: ' || sqlerrm, 'See the parameters of jobs.publish.');
    end;
end;
$$;

comment on function howdah.publications is 'Rows to publish from a JSON array, or JB001.';


-- jobs.publish_many: bulk with all options, what clients use.
create or replace function jobs.publish_many(i_jobs jsonb)
    returns setof jobs.published
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query select p.* from howdah.publish_jobs(howdah.publications(i_jobs)) p;
end;
$$;

comment on function jobs.publish_many is $$Publish a JSON array of jobs in one statement; all or nothing.

Each element is an object with publish's parameters without their i_. Answers in the order given.$$;
