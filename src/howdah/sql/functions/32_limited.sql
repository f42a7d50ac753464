-- claim_limited: ready or blocked (kind limit) ─► running, where limits count.
--
-- A limit is a row of howdah.limits: of a queue, of a task, or of a key that jobs name. It is decided upon by whoever holds
-- its row, taken SKIP LOCKED: no claim waits for another, and a consumer that keeps its transaction open keeps only the
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


-- howdah.queue_rooms: the queues that have a limit, and how many slots of each look free; nothing is locked.
create or replace function howdah.queue_rooms(
    i_queues text[], i_num integer, i_now timestamptz, out queues text[], out rooms integer[])
    language sql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
    select array_agg(l.name order by l.name),
           array_agg(case when l.opens_at > i_now then 0
                          else greatest(0, least(i_num, coalesce(l.rate, i_num), coalesce(l.max_running - l.used, i_num)
                               + (select coalesce(sum(f.slots), 0) from howdah.freed f where f.limit_id = l.id)))
                     end order by l.name)
      from howdah.limits l
     where l.by_hand and l.kind = 'queue' and (l.max_running is not null or l.rate is not null)
       and (i_queues is null or l.name = any (i_queues));
$$;

comment on function howdah.queue_rooms is 'Limited queues and how many jobs of each might start.';


-- howdah.limited_tasks: the tasks that have a limit.
create or replace function howdah.limited_tasks()
    returns text[]
    language sql
    stable
    set search_path = pg_catalog, pg_temp
    return (select array_agg(l.name order by l.name) from howdah.limits l
             where l.by_hand and l.kind = 'task' and (l.max_running is not null or l.rate is not null));

comment on function howdah.limited_tasks is 'Tasks with a limit.';


-- howdah.contenders_ready: ready jobs in the order in which they are to start, as claim takes them; locked, SKIP LOCKED.
create or replace function howdah.contenders_ready(
    i_num integer, i_queues text[], i_topic text, i_tasks text[], i_patterns text[], i_discover boolean,
    i_limited text[], i_rooms integer[], i_limited_tasks text[])
    returns setof howdah.contender
    language plpgsql
    set enable_bitmapscan = off     -- it would collect a whole lane to find its first row
as $$
begin
    return query
    with lane as materialized (
        select l.queue, l.priority, l.floor, head.pos,
               coalesce(i_rooms[array_position(i_limited, l.queue)], i_num) as room
          from (select k.queue, k.priority, k.floor from howdah.lane k
                union all
                select n.queue, n.priority, 0 from howdah.new_lanes() n where i_discover) l
         cross join lateral (
                select r.pos from howdah.ready r
                 where r.queue = l.queue and r.priority = l.priority and r.pos > l.floor
                 order by r.queue, r.priority, r.pos limit 1) head
         where (i_queues is null or l.queue = any (i_queues))
           and not exists (select from howdah.queue q where q.queue = l.queue and q.paused_at is not null)
         order by l.priority desc, head.pos
    ), taken as materialized (
        select f.*
          from (select * from lane where lane.room > 0 order by lane.priority desc, lane.pos) l
         cross join lateral (
                select r.ctid as at_row, r.* from howdah.ready r
                 where r.queue = l.queue and r.priority = l.priority and r.pos > l.floor
                   and (i_topic is null or r.task like i_topic)
                   and (i_tasks is null or r.task = any (i_tasks) or r.task like any (i_patterns))
                 order by r.queue, r.priority, r.pos
                 limit least(i_num, l.room)
                   for update skip locked) f
         limit i_num
    )
    select 'ready', t.at_row, t.id, t.pos, t.attempt, t.task, t.queue, t.priority, t.key_limit,
           case when t.task = any (i_limited_tasks) then howdah.limit_id('task', t.task) end,
           case when t.queue = any (i_limited) then howdah.limit_id('queue', t.queue) end,
           null::bigint, true, coalesce(j.slots, 1), j.concurrency_limit
      from taken t
      left join lateral (
           select x.slots, x.concurrency_limit from howdah.job x
            where x.id = t.id and (t.key_limit is not null or t.task = any (i_limited_tasks) or t.queue = any (i_limited))
           offset 0) j on true;
end;
$$;

comment on function howdah.contenders_ready is 'Ready jobs that might start.';


-- howdah.contenders_blocked: jobs that wait for limits that may have room again; the first ones of each limit, if this worker
-- may run the very first. Locked, SKIP LOCKED.
create or replace function howdah.contenders_blocked(
    i_num integer, i_queues text[], i_topic text, i_tasks text[], i_patterns text[],
    i_limited text[], i_rooms integer[], i_limited_tasks text[], i_now timestamptz)
    returns setof howdah.contender
    language plpgsql
    set enable_bitmapscan = off     -- it would collect all that wait for a limit to find the first
as $$
begin
    return query
    with hinted as materialized (
        select f.limit_id from howdah.freed f group by f.limit_id
        union
        select l.id from howdah.limits l where l.opens_at <= i_now
    ), head as materialized (
        select h.limit_id, b.priority, b.pos
          from hinted h
         cross join lateral (
                select x.queue, x.priority, x.pos, x.task from howdah.blocked x
                 where x.kind = 'limit' and x.limit_id = h.limit_id order by x.limit_id, x.priority desc, x.pos limit 1) b
         where howdah.may_start(b.queue, b.task, i_queues, i_topic, i_tasks, i_patterns,
                                i_limited, i_rooms)
         order by b.priority desc, b.pos limit i_num
    ), taken as materialized (
        select b.*
          from head h left join howdah.limits l on l.id = h.limit_id
         cross join lateral (
                select x.ctid as at_row, x.id, x.pos, x.attempt, x.task, x.priority, x.limit_id, x.queue
                  from howdah.blocked x
                 where x.kind = 'limit' and x.limit_id = h.limit_id order by x.limit_id, x.priority desc, x.pos
                 limit case when l.max_running is null and l.by_hand then i_num
                            else least(i_num, greatest(1, coalesce(l.max_running, 1) - coalesce(l.used, 0)
                                 + (select coalesce(sum(f.slots), 0) from howdah.freed f where f.limit_id = h.limit_id))) end
                   for update skip locked) b
         order by b.priority desc, b.pos limit i_num
    )
    select 'blocked', t.at_row, t.id, t.pos, t.attempt, t.task, t.queue, t.priority,
           howdah.limit_id('key', j.concurrency_key),
           case when t.task = any (i_limited_tasks) then howdah.limit_id('task', t.task) end,
           case when t.queue = any (i_limited) then howdah.limit_id('queue', t.queue) end,
           t.limit_id,
           howdah.may_start(t.queue, t.task, i_queues, i_topic, i_tasks, i_patterns, i_limited, i_rooms),
           coalesce(j.slots, 1), j.concurrency_limit
      from taken t join howdah.job j on j.id = t.id
     order by t.priority desc, t.pos;
end;
$$;

comment on function howdah.contenders_blocked is 'Jobs that waited for a limit and might start now.';


-- howdah.may_start: whether a worker that serves these queues and tasks may run such a job now.
create or replace function howdah.may_start(
    i_queue text, i_task text, i_queues text[], i_topic text, i_tasks text[], i_patterns text[],
    i_limited text[], i_rooms integer[])
    returns boolean
    language sql
    stable
    return (i_queues is null or i_queue = any (i_queues))
       and (i_topic is null or i_task like i_topic)
       and (i_tasks is null or i_task = any (i_tasks) or i_task like any (i_patterns))
       and coalesce(i_rooms[array_position(i_limited, i_queue)], 1) > 0
       and not exists (select from howdah.queue q where q.queue = i_queue and q.paused_at is not null);

comment on function howdah.may_start is 'Whether this worker may run such a job now.';


-- howdah.claim_limited: as howdah.claim, with every limit kept.
--
-- Fence: each run draws its number from run_seq. Locks: the jobs looked at and the limits decided upon, SKIP LOCKED.
create or replace function howdah.claim_limited(
    i_num       integer,
    i_worker_id bigint,
    i_queues    text[],
    i_topic     text,
    i_tasks     text[],
    i_patterns  text[],
    i_discover  boolean,
    i_now       timestamptz
)
    returns setof howdah.claimed
    language plpgsql
as $$
declare
    v_limited_tasks constant text[] := howdah.limited_tasks();
    v_rooms         record;
    v_waited        howdah.contender[] := '{}';
    v_contenders    howdah.contender[];
    v_limits        howdah.limit_state;
begin
    perform howdah.live();      -- before the first number is drawn
    select * into v_rooms from howdah.queue_rooms(i_queues, i_num, i_now);
    if exists (select from howdah.freed) or exists (select from howdah.limits l where l.opens_at <= i_now) then
        v_waited := array(select c from howdah.contenders_blocked(i_num, i_queues, i_topic, i_tasks, i_patterns,
                                   v_rooms.queues, v_rooms.rooms, v_limited_tasks, i_now) c);
    end if;
    v_contenders := array(
        select c from howdah.contenders_ready(i_num, i_queues, i_topic, i_tasks, i_patterns, i_discover,
                                              v_rooms.queues, v_rooms.rooms, v_limited_tasks) c);
    if v_waited <> '{}' then
        v_contenders := array(
            select c from unnest(v_waited || v_contenders) c order by c.priority desc, c.pos limit i_num);
    end if;
    v_limits := howdah.hold_limits(v_contenders, i_now);
    v_limits := howdah.judge(v_contenders, v_limits);
    return query select * from howdah.start_judged(v_contenders, v_limits, i_worker_id, i_now);
    perform howdah.settle_limits(v_contenders, v_limits, i_now);
end;
$$;

comment on function howdah.claim_limited is 'Move up to i_num jobs to running, as many as their limits allow.';
