-- Limits: ready or blocked (kind limit) ─► running, as far as every limit of a job allows.
--
-- A limit is a row of howdah.limits: of a queue, of a task, or of a key that jobs name. It is decided upon by whoever holds
-- its row: a claim waits a moment for another, but a consumer that keeps its transaction open keeps only the
-- limits of what it has claimed. A run holds slots (running.held); whoever ends it writes what it gives back into
-- howdah.freed and waits for nobody; the next decision folds that into `used`. So `used` less what is freed is what is held.
--
-- A queue that is full is not looked into. A job that may not start for its task or its key is moved to blocked once, and
-- waits there in order, not scanned again, until howdah.freed or the clock (opens_at) says that its limit may have room.
-- Whoever moves a job there without holding its limit leaves a zero in howdah.freed, so that no job waits for nothing.

-- howdah.limit_id: the number of a limit, positive: 63 bits of its name's MD5. Two names of one number would share their slots.
create or replace function howdah.limit_id(i_kind text, i_name text)
    returns bigint
    language sql
    immutable strict parallel safe
    return greatest(('x' || left(md5(i_kind || ':' || i_name), 16))::bit(64)::bigint & 9223372036854775807, 2);

comment on function howdah.limit_id is 'Number of the limit of a queue, task or key.';


-- howdah.slots_held: what running.held says, a row for each limit.
create or replace function howdah.slots_held(i_held bigint[])
    returns table (limit_id bigint, slots integer)
    language sql
    immutable
as $$
    select i_held[n], i_held[n + 1]::integer from generate_series(1, coalesce(cardinality(i_held), 0), 2) n;
$$;

comment on function howdah.slots_held is 'Limits and slots that a run holds.';


-- howdah.limited: the queues and tasks that have a limit, and how many slots of each queue look free; nothing is locked.
create or replace function howdah.limited(i_queues text[], i_num integer, i_now timestamptz)
    returns howdah.limited
    language plpgsql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_limited howdah.limited;
begin
    select array_agg(l.name order by l.name), array_agg(l.id order by l.name),
           array_agg(case when l.opens_at > i_now then 0
                          else greatest(0, least(i_num, coalesce(l.rate, i_num), coalesce(l.max_running - l.used, i_num)
                               + (select coalesce(sum(f.slots), 0) from howdah.freed f where f.limit_id = l.id)))
                     end order by l.name)
      into v_limited.queues, v_limited.queue_limits, v_limited.rooms
      from howdah.limits l
     where l.by_hand and l.kind = 'queue' and (l.max_running is not null or l.rate is not null)
       and (i_queues is null or l.name = any (i_queues));
    select array_agg(l.name order by l.name), array_agg(l.id order by l.name) into v_limited.tasks, v_limited.task_limits
      from howdah.limits l
     where l.by_hand and l.kind = 'task' and (l.max_running is not null or l.rate is not null);
    return v_limited;
end;
$$;

comment on function howdah.limited is 'Limited queues and tasks, and how many jobs of each queue might start.';


-- howdah.contenders: the jobs that might start, in their order: candidates from ready, and what waits for limits that may have
-- room again. Those go before the candidates of their own queue and priority, and of what comes after: they have waited longer.
create or replace function howdah.contenders(
    i_candidates howdah.candidate[], i_num integer, i_wide integer, i_queues text[], i_topic text, i_tasks text[],
    i_patterns text[], i_labels text[], i_limited howdah.limited, i_now timestamptz)
    returns howdah.contender[]
    language plpgsql
as $$
declare
    v_ready   howdah.contender[];
    v_blocked howdah.contender[] := '{}';
begin
    v_ready := array(
        select row('ready', c.row, c.id, c.pos, c.attempt, c.task, c.queue, c.lane, c.priority, c.key_limit,
                   i_limited.task_limits[array_position(i_limited.tasks, c.task)],
                   i_limited.queue_limits[array_position(i_limited.queues, c.queue)],
                   null, true, coalesce(c.asks[1], 1), c.asks[2])::howdah.contender
          from unnest(i_candidates) c);
    if howdah.some_limit_opened(i_now) then
        -- those of the lines are not waited for, so they come second
        perform howdah.lock_limits(array(
            select distinct x.id from unnest(v_ready) c
             cross join lateral (values (c.key_limit), (c.task_limit), (c.queue_limit)) x (id) where x.id is not null));
        v_blocked := array(select c from howdah.contenders_blocked(
            i_num, i_queues, i_topic, i_tasks, i_patterns, i_labels, i_limited, i_now) c);
    end if;
    if v_blocked = '{}' then
        return v_ready;
    end if;
    return array(
        with ready as materialized (
            select c, n, array[coalesce(array_position(i_queues, (c).queue), 0), -(c).priority] as level
              from (select u as c, row_number() over () as n from unnest(v_ready) u) r
        ), level as materialized (
            select r.level, min(r.n) as first from ready r group by r.level
        ), blocked as materialized (
            select u as c, coalesce((select min(l.first) from level l
                                      where l.level >= array[coalesce(array_position(i_queues, (u).queue), 0), -(u).priority]),
                                    i_wide + 1) - 0.5 as n
              from unnest(v_blocked) u
        ), merged as (
            select x.c, x.n, count(*) filter (where (x.c).fits) over (order by x.n, (x.c).priority desc, (x.c).pos) as fitting
              from (select r.c, r.n::numeric from ready r
                    union all
                    -- nobody of a line before those in front of him, whatever their queues
                    select b.c, max(b.n) over (partition by (b.c).waits_for order by (b.c).priority desc, (b.c).pos)
                      from blocked b) x
        )
        -- those that do not fit take nobody's place: it may be the one whose turn it is before theirs
        select m.c from merged m where m.fitting <= i_wide order by m.n, (m.c).priority desc, (m.c).pos);
end;
$$;

comment on function howdah.contenders is 'Jobs that might start, in their order.';


-- howdah.some_limit_opened: whether a limit may have got room: a slot was given back, or its time has come.
create or replace function howdah.some_limit_opened(i_now timestamptz)
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    -- nothing waits for what was freed: that is left to the next decision about its limit
    return exists (select from howdah.blocked b where b.kind = 'limit')
       and (exists (select from howdah.freed) or exists (select from howdah.limits l where l.opens_at <= i_now));
end;
$$;

comment on function howdah.some_limit_opened is 'Whether a limit may have got room.';


-- howdah.first_opening: when the next rate lets something start; null: none does. One that has opened already was looked at.
create or replace function howdah.first_opening(i_now timestamptz)
    returns timestamptz
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_sequence_last_value('howdah.controls'::regclass) > 0 then
        return (select l.opens_at from howdah.limits l where l.opens_at > i_now order by l.opens_at limit 1);
    end if;
    return null;
end;
$$;

comment on function howdah.first_opening is 'When the next rate lets something start.';


-- howdah.contenders_blocked: jobs that wait for limits that may have room again; the first ones of each limit, if this worker
-- may run the very first.
--
-- Locks: the limits, then their jobs, SKIP LOCKED. In this order: of two claims one would lock the first job of a line and the
-- other its limit, and neither could start anything, again and again.
create or replace function howdah.contenders_blocked(
    i_num integer, i_queues text[], i_topic text, i_tasks text[], i_patterns text[], i_labels text[],
    i_limited howdah.limited, i_now timestamptz)
    returns setof howdah.contender
    language plpgsql
    set enable_bitmapscan = off     -- it would collect all that wait for a limit to find the first
as $$
declare
    v_shut constant text[] := array(
        select q.queue from howdah.queue q where q.paused_at is not null
        union all
        select r.queue from unnest(i_limited.queues, i_limited.rooms) r (queue, room) where r.room <= 0);
    v_window integer := greatest(2 * i_num, 64);
    v_held   record;
begin
    loop
        select h.* into v_held
          from howdah.hold_lines(i_num, v_window, i_queues, i_topic, i_tasks, i_patterns, i_labels, v_shut, i_now) h;
        -- a consumer that keeps its transaction open may hold very many, and those that are free come last
        exit when v_held.limit_ids is not null or v_held.many < v_window;
        v_window := 8 * v_window;
    end loop;
    return query
    with taken as materialized (
        select b.*
          from unnest(v_held.limit_ids, v_held.rooms) h (limit_id, room)
         cross join lateral (
                select x.ctid as at_row, x.id, x.pos, x.attempt, x.task, x.priority, x.limit_id, x.queue, x.lane
                  from howdah.blocked x
                 where x.kind = 'limit' and x.limit_id = h.limit_id order by x.limit_id, x.priority desc, x.pos
                 limit h.room for update skip locked) b
         order by b.priority desc, b.pos limit i_num
    ), job as materialized (
        select t.*, howdah.limit_id('key', j.concurrency_key) as key_limit, j.slots, j.concurrency_limit
          from taken t join howdah.job j on j.id = t.id
    )
    select 'blocked', t.at_row, t.id, t.pos, t.attempt, t.task, t.queue, t.lane, t.priority, t.key_limit,
           i_limited.task_limits[array_position(i_limited.tasks, t.task)],
           i_limited.queue_limits[array_position(i_limited.queues, t.queue)],
           t.limit_id,
           howdah.may_start(t.queue, t.lane, t.task, i_queues, i_topic, i_tasks, i_patterns, i_labels, v_shut)
           -- an earlier job of its key is ready still: another claim that has it will have it wait in front of this one
           and not coalesce((
               select (r.priority > t.priority or r.priority = t.priority and r.pos < t.pos)
                      and howdah.may_start(howdah.queue_of(r.queue), r.queue, r.task, i_queues, i_topic, i_tasks, i_patterns,
                                           i_labels, v_shut)
                 from howdah.ready r where r.key_limit = t.key_limit
                order by r.key_limit, r.priority desc, r.pos limit 1), false),
           coalesce(t.slots, 1), t.concurrency_limit
      from job t
     order by t.priority desc, t.pos;
end;
$$;

comment on function howdah.contenders_blocked is 'Jobs that waited for a limit and might start now.';


-- howdah.may_start: whether a worker that serves these queues and tasks may run such a job now; i_shut: queues that are paused or
-- full. Without a look into a table, so that the planner can put it in its place.
create or replace function howdah.may_start(
    i_queue text, i_lane text, i_task text, i_queues text[], i_topic text, i_tasks text[], i_patterns text[],
    i_labels text[], i_shut text[])
    returns boolean
    language sql
    stable
    return (i_queues is null or i_queue = any (i_queues))
       and (i_topic is null or i_task like i_topic)
       and (i_tasks is null or i_task = any (i_tasks) or i_task like any (i_patterns))
       and (i_lane = i_queue or coalesce(howdah.labels_of(i_lane) <@ coalesce(i_labels, '{}'), true))
       and i_queue <> all (i_shut);

comment on function howdah.may_start is 'Whether this worker may run such a job now.';


-- howdah.start_limited: ready or blocked (kind limit) ─► running for at most i_num contenders whose limits have room; those
-- whose limits have none wait.
--
-- Fence: each run draws its number from run_seq. Locks: the limits of the contenders, see lock_limits; the jobs are the caller's.
create or replace function howdah.start_limited(
    i_contenders howdah.contender[], i_num integer, i_worker_id bigint, i_now timestamptz)
    returns setof howdah.claimed
    language plpgsql
as $$
declare
    v_limits howdah.limit_state;
begin
    v_limits := howdah.judge(i_contenders, i_num, howdah.hold_limits(i_contenders, i_now));
    return query select * from howdah.start_judged(i_contenders, v_limits, i_worker_id, i_now);
    perform howdah.settle_limits(i_contenders, v_limits, i_now);
end;
$$;

comment on function howdah.start_limited is 'Start the jobs whose limits have room.';
