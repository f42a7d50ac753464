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
begin
    select t.* into v_task from howdah.task t where t.name = i_like.task collate "C";
    if v_task."unique" is not null then
        return null;        -- not as plain as they look: publish_jobs
    end if;
    v_queue := coalesce(i_like.queue, v_task.queue);
    v_priority := coalesce(i_like.priority::smallint, v_task.priority);
    v_expires_at := v_now + howdah.seconds(coalesce(i_like.ttl::double precision, v_task.ttl));

    v_ids := array(select nextval('howdah.position_seq') from unnest(i_bodies));
    insert into howdah.job (id, queue, task, body, priority, max_retries, timeout, backoff, created_at,
                            scheduled_at, expires_at, result_ttl, failure_ttl, headers, meta)
    select u.id, v_queue, i_like.task, u.body, v_priority,
           coalesce(i_like.max_retries, v_task.max_retries),
           coalesce(i_like.timeout::double precision, v_task.timeout),
           coalesce(i_like.backoff::double precision[], v_task.backoff), v_now, v_run_at, v_expires_at,
           coalesce(i_like.result_ttl::double precision, v_task.result_ttl),
           coalesce(i_like.failure_ttl::double precision, v_task.failure_ttl), i_like.headers, i_like.meta
      from unnest(v_ids, i_bodies) u (id, body);
    if v_run_at is null then
        insert into howdah.ready (queue, priority, pos, id, attempt, task)
        select coalesce(v_queue, 'default'), coalesce(v_priority, 0::smallint), u.id, u.id, 0, i_like.task
          from unnest(v_ids) u (id);
    else
        insert into howdah.scheduled (id, run_at, attempt) select u.id, v_run_at, 0 from unnest(v_ids) u (id);
    end if;
    if v_expires_at is not null then
        insert into howdah.expiry (expires_at, id) select v_expires_at, u.id from unnest(v_ids) u (id);
    end if;
    -- whoever sleeps looks every 5 s at least: only what is due earlier needs the bell
    if v_run_at is null or v_run_at < v_now + interval '5 s' then
        perform howdah.ring(array[coalesce(v_queue, 'default')], array[i_like.task],
                            howdah.rings_for(cardinality(i_bodies)));
    end if;
    return v_ids;
end;
$$;

comment on function howdah.publish_bodies is 'Publish jobs that differ in their bodies only; answers their numbers.';


-- howdah.publish_jobs: jobs that differ in anything, keys included. What the caller did not give comes from the task's
-- registration; a task that no worker has registered yet leaves it open, so that its options count once one does.
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
begin
    perform howdah.check_publication(p) from unnest(i_jobs) p where not coalesce(howdah.is_plain(p), false);
    if howdah.may_be_unique(i_jobs[1]) then
        return query select p.* from howdah.publish_unique(i_jobs) p;
        return;
    end if;
    with given as materialized (
        select p.id, p.key, coalesce(p.queue, t.queue) as queue, p.task, p.body,
               coalesce(p.priority::smallint, t.priority) as priority,
               coalesce(p.max_retries, t.max_retries) as max_retries,
               coalesce(p.timeout::double precision, t.timeout) as timeout,
               coalesce(p.backoff::double precision[], t.backoff) as backoff, v_now as created_at,
               howdah.due(p.scheduled_at, p.delay, v_now) as scheduled_at,
               v_now + howdah.seconds(coalesce(p.ttl::double precision, t.ttl)) as expires_at,
               coalesce(p.result_ttl::double precision, t.result_ttl) as result_ttl,
               coalesce(p.failure_ttl::double precision, t.failure_ttl) as failure_ttl,
               p.headers, p.meta, p.uniqueness ->> 'unique_key', p.uniqueness ->> 'unique_until'
          -- numbers are drawn before the join, which need not keep the order given
          from (select coalesce((u.uniqueness ->> 'number')::bigint, nextval('howdah.position_seq')) as id, u.* from unnest(i_jobs) u) p
          left join howdah.task t on t.name = p.task collate "C"
    ), plain as (
        insert into howdah.job (id, key, queue, task, body, priority, max_retries, timeout, backoff, created_at,
                                scheduled_at, expires_at, result_ttl, failure_ttl, headers, meta, unique_key, unique_until)
        select g.* from given g where g.key is null
        returning id, key, queue, priority, task, scheduled_at, expires_at
    ), keyed as (
        -- apart, because ON CONFLICT writes every row twice; in key order, so that two publishers cannot deadlock
        insert into howdah.job (id, key, queue, task, body, priority, max_retries, timeout, backoff, created_at,
                                scheduled_at, expires_at, result_ttl, failure_ttl, headers, meta, unique_key, unique_until)
        select g.* from given g where g.key is not null order by g.key collate "C", g.id
            on conflict (key) where key is not null do nothing
        returning id, key, queue, priority, task, scheduled_at, expires_at
    ), inserted as materialized (
        select i.id, i.key, coalesce(i.queue, 'default') as queue, coalesce(i.priority, 0::smallint) as priority,
               i.task, i.scheduled_at, i.expires_at
          from (select * from plain union all select * from keyed) i
    ), made_ready as (
        insert into howdah.ready (queue, priority, pos, id, attempt, task)
        select i.queue, i.priority, i.id, i.id, 0, i.task from inserted i where i.scheduled_at is null
    ), made_scheduled as (
        insert into howdah.scheduled (id, run_at, attempt)
        select i.id, i.scheduled_at, 0 from inserted i where i.scheduled_at is not null
    ), made_expiry as (
        insert into howdah.expiry (expires_at, id) select i.expires_at, i.id from inserted i where i.expires_at is not null
    )
    select array_agg(i.id order by i.id), array_agg(i.key order by i.id),
           array_agg(case when i.scheduled_at is null then 'ready' else 'scheduled' end order by i.id),
           -- whoever sleeps looks every 5 s at least: only what is due earlier needs the bell
           bool_or(i.scheduled_at is null or i.scheduled_at < v_now + interval '5 s'),
           (select array_agg(g.id order by g.id) from given g)
      into v_ids, v_keys, v_states, v_soon, v_given
      from inserted i;

    if v_soon then
        perform howdah.ring_for(v_ids);
    end if;
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
    i_unique_key   text default null,
    i_unique       jsonb default null,
    i_unique_mode  text default null,
    i_unique_until text default null,
    i_unique_for   numeric default null
)
    returns jobs.published
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_job       howdah.publication := row(
        i_task, i_body, i_scheduled_at, i_timeout, i_priority, i_max_retries, i_queue, i_key, i_delay, i_ttl,
        i_result_ttl, i_failure_ttl, i_backoff, i_headers, i_meta,
        null);
    v_published jobs.published;
begin
    if i_key is not null or i_unique_key is not null or i_unique is not null
       or i_unique_mode is not null or i_unique_until is not null or i_unique_for is not null then
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
false) and publishes nothing. Delays and ttls are seconds. Raises JB001 naming the field.

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
    i_meta         jsonb default null
)
    returns bigint[]
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_like constant howdah.publication := row(
        i_task, null, i_scheduled_at, i_timeout, i_priority, i_max_retries, i_queue, null, i_delay, i_ttl,
        i_result_ttl, i_failure_ttl, i_backoff, i_headers, i_meta, null);
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
                   null, null, null, null, null, null, null, null, null, null)::howdah.publication
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
        'result_ttl', 'failure_ttl', 'backoff', 'headers', 'meta'];
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
