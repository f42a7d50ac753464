-- Chores: due jobs, ends of lives, overdue runs, dead workers, unknown tasks, old history. Any worker does them; rows are
-- taken SKIP LOCKED, so no leader is needed and nobody waits for anybody.

-- howdah.promote: scheduled ─► ready for what is due, at a new position, in the order of being due.
create or replace function howdah.promote(i_now timestamptz, i_limit integer)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_queues text[];
    v_count  bigint;
begin
    if not exists (select from howdah.scheduled s where s.run_at <= i_now order by s.run_at, s.id limit 1) then
        return 0;
    end if;
    with due as materialized (
        select s.ctid as row, s.id, s.run_at, s.attempt from howdah.scheduled s
         where s.run_at <= i_now order by s.run_at, s.id limit i_limit for update skip locked
    ), removed as (
        delete from howdah.scheduled s using due d where s.ctid = d.row returning d.id, d.run_at, d.attempt
    ), ordered as materialized (
        select nextval('howdah.position_seq') as pos, x.id, x.attempt
          from (select * from removed order by run_at, id) x
    ), made_ready as (
        insert into howdah.ready (queue, priority, pos, id, attempt, task)
        select coalesce(j.queue, t.queue, 'default'), coalesce(j.priority, t.priority, 0), o.pos, o.id, o.attempt, j.task
          from ordered o join howdah.job j on j.id = o.id left join howdah.task t on t.name = j.task
        returning queue
    )
    select array_agg(distinct m.queue), count(*) into v_queues, v_count from made_ready m;
    if v_count > 0 then
        perform howdah.ring(v_queues);
    end if;
    return v_count;
end;
$$;

comment on function howdah.promote is 'Make scheduled jobs ready that are due.';


-- howdah.expire: scheduled, blocked, ready ─► cancelled (kind ttl) for jobs not started within their time to live.
create or replace function howdah.expire(i_now timestamptz, i_limit integer)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_id      bigint;
    v_at      timestamptz;
    v_attempt integer;
    v_count   bigint := 0;
begin
    for v_id, v_at in
        select e.id, e.expires_at from howdah.expiry e
         where e.expires_at <= i_now order by e.expires_at, e.id limit i_limit for update skip locked
    loop
        if coalesce(howdah.state_of(v_id) not in ('scheduled', 'blocked', 'ready'), true) then
            delete from howdah.expiry e where e.expires_at = v_at and e.id = v_id;      -- started or ended in time
            continue;
        end if;
        v_attempt := howdah.lock_waiting(v_id);
        continue when v_attempt is null;        -- somebody holds it: next time
        if v_attempt = 0 then
            perform howdah.take_waiting(v_id);
            perform howdah.cancel_waiting(v_id, 0, 'ttl', 'not started within its time to live', i_now);
            v_count := v_count + 1;
        end if;
        delete from howdah.expiry e where e.expires_at = v_at and e.id = v_id;
    end loop;
    return v_count;
end;
$$;

comment on function howdah.expire is 'Cancel jobs whose time to live is over.';


-- howdah.lock_waiting: locks a waiting job's row unless somebody holds it; answers its attempts made, or null.
create or replace function howdah.lock_waiting(i_id bigint)
    returns integer
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_attempt integer;
begin
    select s.attempt into v_attempt from howdah.scheduled s where s.id = i_id for update skip locked;
    if not found then
        select b.attempt into v_attempt from howdah.blocked b where b.id = i_id for update skip locked;
    end if;
    if not found then
        select r.attempt into v_attempt from howdah.ready r
         where r.ctid = (select howdah.ready_position(j) from howdah.job j where j.id = i_id) and r.id = i_id
           for update skip locked;
    end if;
    return v_attempt;
end;
$$;

comment on function howdah.lock_waiting is 'Lock a waiting job, never waiting for it.';


-- howdah.rescue: running ─► retry or failed (kind timeout) for plain consumers past their deadline; ─► ready for the runs
-- of workers past their lease.
create or replace function howdah.rescue(i_now timestamptz, i_limit integer)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_run    howdah.running;
    v_worker bigint;
    v_count  bigint := 0;
begin
    for v_run in
        select r.* from howdah.running r
         where r.worker_id is null and r.deadline < i_now order by r.deadline limit i_limit for update skip locked
    loop
        v_count := v_count + howdah.time_out(v_run, i_now);
    end loop;
    for v_worker in
        select w.id from howdah.worker w join howdah.beat b on b.worker_id = w.id
         where b.beat_at + make_interval(secs => w.lease) < i_now order by w.id
    loop
        -- refused while an exchange of that worker is under way: it is alive after all, or the next sweep finds it dead
        if pg_try_advisory_xact_lock(48177, (v_worker % 2147483647)::integer) then
            v_count := v_count + howdah.bury(v_worker, i_now);
        end if;
    end loop;
    return v_count;
end;
$$;

comment on function howdah.rescue is 'Take back runs past their timeout or of dead workers.';


-- howdah.time_out: one run past its timeout ─► retry or failed; its worker, if it has one, is told.
--
-- Whatever goes wrong with one run must not stop the sweep for all others: it is rolled back, warned about and tried again
-- by the next sweep.
create or replace function howdah.time_out(i_run howdah.running, i_now timestamptz)
    returns integer
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from howdah.running r where r.id = i_run.id;
    perform howdah.fail(i_run, 'timeout', 'not finished within its timeout', null, null, false, i_now);
    perform howdah.tell_lost(i_run, 'past its timeout', i_now);
    return 1;
exception when data_exception or integrity_constraint_violation or program_limit_exceeded then
    raise warning 'howdah: run % of job % cannot be timed out: %', i_run.run_id, i_run.id, sqlerrm;
    return 0;
end;
$$;

comment on function howdah.time_out is 'Take back one run past its timeout.';


-- howdah.bury: a worker past its lease, looked at once more now that its lock is ours.
--
-- Its runs ─► ready; it is unregistered when none is left. Locks: its runs in id order, SKIP LOCKED.
create or replace function howdah.bury(i_worker_id bigint, i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_run   howdah.running;
    v_count bigint := 0;
begin
    perform from howdah.worker w join howdah.beat b on b.worker_id = w.id
      where w.id = i_worker_id and b.beat_at + make_interval(secs => w.lease) < i_now
        for update skip locked;
    if not found then
        return 0;
    end if;
    -- a run that somebody holds, say an open transaction that cancels it, is left to the next sweep; the others are not
    for v_run in
        select r.* from howdah.running r
         where r.id = any (array(
               select x.id from howdah.running x where x.worker_id = i_worker_id order by x.id for update skip locked))
         order by r.run_id
    loop
        delete from howdah.running r where r.id = v_run.id;
        perform howdah.died(v_run, i_now);
        perform howdah.tell_lost(v_run, 'its worker missed its lease', i_now);      -- should it come back before the last one
        v_count := v_count + 1;
    end loop;
    if not exists (select from howdah.running r where r.worker_id = i_worker_id) then
        perform howdah.unregister(i_worker_id);
    end if;
    return v_count;
end;
$$;

comment on function howdah.bury is 'Declare a worker dead that has missed its lease.';


-- howdah.rescue_overdue: a live worker's runs 10 s past their deadline ─► retry or failed (kind timeout). The worker
-- enforces timeouts itself; this is for one that cannot, because its code does not let go.
create or replace function howdah.rescue_overdue(i_now timestamptz, i_limit integer)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_run   howdah.running;
    v_count bigint := 0;
begin
    for v_run in
        select r.* from howdah.running r
         where r.worker_id is not null and r.deadline < i_now - interval '10 s'
         order by r.id limit i_limit for update skip locked
    loop
        v_count := v_count + howdah.time_out(v_run, i_now);
    end loop;
    return v_count;
end;
$$;

comment on function howdah.rescue_overdue is 'Take back runs that a live worker does not end.';


-- howdah.park: ready ─► blocked (kind task) for jobs whose task no live worker knows, so that nobody walks over them.
--
-- Only while some worker lives: plain consumers alone know every task. Locks: the parked rows, SKIP LOCKED.
create or replace function howdah.park(i_now timestamptz, i_limit integer)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_unknown text[];
    v_count   bigint;
begin
    if not exists (select from howdah.worker) then
        return 0;
    end if;
    v_unknown := array(
        select u.task
          from (select distinct head.task from howdah.lane l
                 cross join lateral (
                        select r.task from howdah.ready r
                         where r.queue = l.queue and r.priority = l.priority and r.pos > l.floor
                         order by r.queue, r.priority, r.pos limit 200) head) u
         where not exists (select from howdah.worker w where u.task = any (w.tasks) or u.task like any (w.patterns)));
    if v_unknown = '{}' then
        return 0;
    end if;
    with chosen as materialized (
        select r.row
          from howdah.lane l
         cross join lateral (
                select x.ctid as row from howdah.ready x
                 where x.queue = l.queue and x.priority = l.priority and x.pos > l.floor and x.task = any (v_unknown)
                 order by x.queue, x.priority, x.pos limit i_limit
                   for update skip locked) r
         limit i_limit
    ), removed as (
        delete from howdah.ready r using chosen c where r.ctid = c.row returning r.id, r.task, r.attempt
    )
    insert into howdah.blocked (id, kind, task, attempt, blocked_at)
    select m.id, 'task', m.task, m.attempt, i_now from removed m;
    get diagnostics v_count = row_count;
    return v_count;
end;
$$;

comment on function howdah.park is 'Put jobs aside whose task no live worker knows.';


-- howdah.adopt_known: parked jobs whose task a live worker does know ─► ready: parked while it was registering.
create or replace function howdah.adopt_known(i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_tasks text[];
begin
    v_tasks := array(
        select p from howdah.parked_tasks() p
         where exists (select from howdah.worker w where p = any (w.tasks) or p like any (w.patterns))
           -- not `exists`, which may become a join that reads all parked jobs
           and (select true from howdah.blocked b
                 where b.task = p and b.kind = 'task' and b.reason is null limit 1));
    if v_tasks = '{}' then
        return 0;
    end if;
    return howdah.adopt(v_tasks, null, i_now);
end;
$$;

comment on function howdah.adopt_known is 'Bring back parked jobs that a live worker knows.';


-- howdah.lift_strays: belt and braces, once a minute: no row may lie behind a floor for longer, nor in a lane that its task
-- has left; a publisher that was in flight while the task registered may have put it there.
create or replace function howdah.lift_strays()
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if howdah.milliseconds() - (select s.last_value from howdah.last_stray_check s) between 0 and 59999
       or not howdah.hold_cursor() then
        return 0;
    end if;
    perform setval('howdah.last_stray_check', howdah.milliseconds());
    delete from howdah.lane l
     where l.moved_at < clock_timestamp() - interval '10 min'
       -- one probe a lane; `not exists` may become a join that reads all of ready
       and (select true from howdah.ready r where r.queue = l.queue and r.priority = l.priority limit 1) is null;
    perform howdah.place_anew(array(select t.name from howdah.task t where t.changed_at > howdah.now() - interval '1 hour'));
    return howdah.lift(-1);
end;
$$;

comment on function howdah.lift_strays is 'Give rows behind a floor a new position; drop empty idle lanes.';


-- jobs.maintain: all chores once; bounded, so call it as often as you like.
create or replace function jobs.maintain()
    returns table (chore text, jobs bigint)
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := howdah.now();
begin
    perform howdah.require_read_committed('maintain');
    return query values
        ('rescued', howdah.rescue(v_now, 1000) + howdah.rescue_overdue(v_now, 1000)),
        ('expired', howdah.expire(v_now, 1000)),
        ('promoted', howdah.promote(v_now, 10000)),
        ('parked', howdah.park(v_now, 10000)),
        ('adopted', howdah.adopt_known(v_now)),
        ('passed', howdah.pass_stuck(clock_timestamp())),
        ('lifted', howdah.lift_strays()),
        ('pruned', jobs.prune(null, 1000));
    perform howdah.advance_cursor();
    delete from howdah.notice n where n.at < v_now - interval '1 hour' and n.verdict = 'lost';
end;
$$;

comment on function jobs.maintain is $$Do the chores once: rescue, expire, promote, park, move the cursor, prune.

Bounded per call and safe to call from anywhere at any time; workers call it every second.$$;


-- jobs.prune: finished ─► gone, once its time to be kept is over.
--
-- Locks: finished rows, SKIP LOCKED.
create or replace function jobs.prune(i_older_than interval default null, i_limit integer default 10000)
    returns bigint
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := howdah.now();
    v_ids bigint[];
begin
    if i_limit is null or i_limit not between 1 and 1000000 then
        perform howdah.refuse('limit', 'is out of range', 'Give a number from 1 to 1000000.');
    end if;
    if i_older_than < interval '0' then
        perform howdah.refuse('older_than', 'is negative', 'Give how long finished jobs are kept.');
    end if;
    v_ids := array(
        select f.id from howdah.finished f
         where f.prune_at <= v_now
            or f.prune_at is null and f.state = 'succeeded' and f.finished_at <= v_now - coalesce(i_older_than, interval '7 days')
            or f.prune_at is null and f.state in ('failed', 'cancelled', 'skipped')
               and f.finished_at <= v_now - coalesce(i_older_than, interval '30 days')
         limit i_limit for update skip locked);
    delete from howdah.finished f where f.id = any (v_ids);
    perform howdah.forget(v_ids);
    return cardinality(v_ids);
end;
$$;

comment on function jobs.prune is $$Delete finished jobs that have been kept long enough; answers how many.

Successes are kept 7 days, others 30, or i_older_than; a job's own result_ttl or failure_ttl comes first.$$;
