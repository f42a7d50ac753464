-- Chores: due jobs, ends of lives, overdue runs, dead workers, unknown tasks, old history. Any worker does them; rows are
-- taken SKIP LOCKED, so no leader is needed and nobody waits for anybody.

-- howdah.promote: scheduled ─► ready for what is due, at a new position, in the order of being due.
create or replace function howdah.promote(i_now timestamptz, i_limit integer)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_first  constant timestamptz := howdah.first_due(i_now);
    v_queues text[];
    v_tasks  text[];
    v_count  bigint;
begin
    if v_first is null or v_first > i_now then
        return 0;
    end if;
    with due as materialized (
        select s.ctid as row, s.id, s.run_at, s.attempt from howdah.scheduled s
         where s.run_at >= v_first and s.run_at <= i_now order by s.run_at, s.id limit i_limit for update skip locked
    ), removed as (
        delete from howdah.scheduled s using due d where s.ctid = d.row returning d.id, d.run_at, d.attempt
    ), ordered as materialized (
        select nextval('howdah.position_seq') as pos, x.id, x.attempt
          from (select * from removed order by run_at, id) x
    ), made_ready as (
        insert into howdah.ready (queue, priority, pos, id, attempt, task, key_limit, asks)
        select howdah.lane_of(coalesce(j.queue, t.queue), j.tenant, coalesce(j.requires, t.requires)),
               coalesce(j.priority, t.priority, 0), o.pos, o.id, o.attempt, j.task, howdah.limit_id('key', j.concurrency_key),
               howdah.asks(j.slots, j.concurrency_limit)
          from ordered o join howdah.job j on j.id = o.id left join howdah.task t on t.name = j.task
        returning queue, task
    )
    select array_agg(m.queue), array_agg(m.task), sum(m.count) into v_queues, v_tasks, v_count
      from (select d.queue, d.task, count(*) from made_ready d group by d.queue, d.task) m;
    if v_count > 0 then
        perform howdah.ring(v_queues, v_tasks, howdah.rings_for(v_count));
    end if;
    return v_count;
end;
$$;

comment on function howdah.promote is 'Make scheduled jobs ready that are due.';


-- howdah.first_due: when the first scheduled job is due; null: there is none.
create or replace function howdah.first_due(i_now timestamptz)
    returns timestamptz
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_from  constant timestamptz := howdah.search_from('howdah.search_scheduled', i_now);
    v_pages constant bigint := howdah.pages_read('howdah.scheduled', 'howdah.scheduled_due');
    v_began constant timestamptz := clock_timestamp();
    v_first timestamptz;
begin
    select s.run_at into v_first from howdah.scheduled s where s.run_at >= v_from order by s.run_at, s.id limit 1;
    perform howdah.end_search('howdah.search_scheduled', v_from, v_first, i_now,
        howdah.pages_read('howdah.scheduled', 'howdah.scheduled_due') - v_pages, v_began);
    return v_first;
end;
$$;

comment on function howdah.first_due is 'When the first scheduled job is due.';


-- howdah.expire: scheduled, blocked, ready ─► cancelled (kind ttl) for jobs not started within their time to live.
create or replace function howdah.expire(i_now timestamptz, i_limit integer)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_first   constant timestamptz := howdah.first_expiry(i_now);
    v_id      bigint;
    v_at      timestamptz;
    v_attempt integer;
    v_count   bigint := 0;
begin
    if v_first is null or v_first > i_now then
        return 0;
    end if;
    for v_id, v_at in
        select e.id, e.expires_at from howdah.expiry e
         where e.expires_at >= v_first and e.expires_at <= i_now
         order by e.expires_at, e.id limit i_limit for update skip locked
    loop
        if coalesce(howdah.state_of(v_id) not in ('scheduled', 'blocked', 'ready'), true)
           or exists (select from howdah.job j where j.id = v_id and j.expires_at is distinct from v_at) then
            delete from howdah.expiry e where e.expires_at = v_at and e.id = v_id;      -- started, ended or replaced in time
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


-- howdah.first_expiry: when the first time to live ends; null: there is none.
create or replace function howdah.first_expiry(i_now timestamptz)
    returns timestamptz
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_from  constant timestamptz := howdah.search_from('howdah.search_expiry', i_now);
    v_pages constant bigint := howdah.pages_read('howdah.expiry', 'howdah.expiry_pkey');
    v_began constant timestamptz := clock_timestamp();
    v_first timestamptz;
begin
    select e.expires_at into v_first from howdah.expiry e
     where e.expires_at >= v_from order by e.expires_at, e.id limit 1;
    perform howdah.end_search('howdah.search_expiry', v_from, v_first, i_now,
        howdah.pages_read('howdah.expiry', 'howdah.expiry_pkey') - v_pages, v_began);
    return v_first;
end;
$$;

comment on function howdah.first_expiry is 'When the first time to live ends.';


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
    v_heads   bigint;
begin
    if not exists (select from howdah.worker) then
        return 0;
    end if;
    v_heads := greatest(200 / (1 + (select count(*) from howdah.lane) / 100) ^ 2, 2);     -- of many tenants a few each
    v_unknown := array(
        select u.task
          from (select distinct head.task from howdah.lane l
                 cross join lateral (
                        select r.task from howdah.ready r
                         where r.queue = l.queue and r.priority = l.priority and r.pos > l.floor
                         order by r.queue, r.priority, r.pos limit v_heads) head) u
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
    set enable_bitmapscan = off     -- it would collect all parked jobs of a task to find one
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
     -- a tenant may never come again, and its floor is moved as long as others are busy
     where (l.moved_at < clock_timestamp() - interval '10 min' or l.tenant is not null)
       -- one probe a lane; `not exists` may become a join that reads all of ready
       and (select true from howdah.ready r where r.queue = l.queue and r.priority = l.priority limit 1) is null;
    perform howdah.place_anew(array(select t.name from howdah.task t where t.changed_at > howdah.now() - interval '1 hour'));
    return howdah.lift(-1);
end;
$$;

comment on function howdah.lift_strays is 'Give rows behind a floor a new position; drop empty idle lanes.';


-- jobs.maintain: all chores once; bounded, so call it as often as you like.
create or replace function jobs.maintain(i_every numeric default null)
    returns table (chore text, jobs bigint)
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := howdah.now();
begin
    perform howdah.require_read_committed('maintain');
    perform howdah.check_number('every', i_every, 0, 3600);
    -- between: a clock that was set back must not stop the chores
    if howdah.milliseconds() - (select s.last_value from howdah.last_chores s) between 0 and i_every * 1000 - 1 then
        -- but come again soon: should whoever did them die, somebody must look after its runs
        return query select 'watched', 0::bigint
                      where exists (select from howdah.running r where r.worker_id is not null);
        return;
    end if;
    perform setval('howdah.last_chores', howdah.milliseconds());
    perform setval('howdah.last_tick', howdah.milliseconds());     -- what a tick does is among them
    perform howdah.note_missing(v_now);
    return query values
        ('rescued', howdah.rescue(v_now, 1000) + howdah.rescue_overdue(v_now, 1000)),
        ('expired', howdah.expire(v_now, 1000)),
        ('promoted', howdah.promote(v_now, 10000)),
        ('parked', howdah.park(v_now, 10000)),
        ('adopted', howdah.adopt_known(v_now)),
        ('freed', howdah.free_keys(v_now, 5000)),
        ('admitted', howdah.admit()),
        ('folded', howdah.fold_limits(10000) + howdah.adopt_late(v_now)),
        ('settled', howdah.settle(v_now, 2000, true, true)),
        ('passed', howdah.pass_stuck(clock_timestamp())),
        ('lifted', howdah.lift_strays()),
        ('pruned', howdah.prune(null, 10000, clock_timestamp() + interval '25 ms', false, v_now));
    -- whoever keeps house may look again sooner than usual
    return query select 'missing', count(*) from howdah.worker w where w.missing_since is not null having count(*) > 0;
    perform howdah.advance_cursor();
    perform howdah.acquit();
    delete from howdah.notice n where n.at < v_now - interval '1 hour' and n.verdict = 'lost';
end;
$$;

comment on function jobs.maintain is $$Do the chores once: rescue, expire, promote, park, move the cursor, prune.

Bounded per call and safe to call from anywhere at any time. Workers see to it every second: with i_every it does nothing,
and answers no row, when somebody did the chores less than so many seconds ago; or one row, watched, while workers' runs are
under way. The row missing counts workers that have lost their sessions: look again in half a second.$$;
