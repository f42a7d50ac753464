-- Claims of a system that has limits but no other controls: the order is that of howdah.claim, and mostly there is room for all.
-- Whatever is not so plain is left to functions/32_candidates.sql and 32_limited.sql, which decide the same, job by job.

-- howdah.only_limits: whether such a claim has nothing but limits to heed.
create or replace function howdah.only_limits(i_queues text[], i_shares integer[])
    returns boolean
    language plpgsql
    volatile
as $$
begin
    return pg_sequence_last_value('howdah.controls'::regclass) = 1 and coalesce(cardinality(i_queues), 1) = 1 and i_shares is null
       and not exists (select from howdah.queue q where q.ageing is not null);
end;
$$;

comment on function howdah.only_limits is 'Whether a claim has nothing but limits to heed.';


-- howdah.take_plainly: locks up to i_num jobs as howdah.claim does, of a limited queue no more than it seems to have room for.
--
-- Locks: rows of ready, SKIP LOCKED.
create or replace function howdah.take_plainly(
    i_num integer, i_queues text[], i_topic text, i_tasks text[], i_patterns text[], i_discover boolean,
    i_limited howdah.limited)
    returns howdah.taken
    language plpgsql
    volatile
    set enable_bitmapscan = off     -- it would collect a whole lane to find its first row
as $$
declare
    v_taken howdah.taken;
begin
    with lane as materialized (
        select l.queue, l.priority, l.floor, head.pos, coalesce(i_limited.rooms[array_position(i_limited.queues, l.queue)], i_num) as room
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
    ), job as materialized (
        select f.*, i_limited.task_limits[array_position(i_limited.tasks, f.task)] as task_limit,
               i_limited.queue_limits[array_position(i_limited.queues, l.queue)] as queue_limit
          from (select * from lane order by lane.priority desc, lane.pos) l
         cross join lateral (
                select r.ctid as row, r.task, r.key_limit is not null or r.asks is not null as other from howdah.ready r
                 where r.queue = l.queue and r.priority = l.priority and r.pos > l.floor
                   and (i_topic is null or r.task like i_topic)
                   and (i_tasks is null or r.task = any (i_tasks) or r.task like any (i_patterns))
                 order by r.queue, r.priority, r.pos
                 limit l.room
                   for update skip locked) f
         limit i_num
    ), demand as (
        select x.limit_id, count(*)::integer as jobs
          from job j cross join lateral (values (j.task_limit), (j.queue_limit)) x (limit_id)
         where x.limit_id is not null group by x.limit_id
    )
    select coalesce(array_agg(j.row), '{}'), (select array_agg(d.limit_id) from demand d), (select array_agg(d.jobs) from demand d),
           coalesce(bool_or(j.other), false)
      into v_taken
      from job j;
    return v_taken;
end;
$$;

comment on function howdah.take_plainly is 'Lock jobs in the plain order.';


-- howdah.room_for_all: takes slots for so many jobs of each limit; false, and nothing is taken, when one of them has not got
-- them free, or has more to it than slots: a rate, runs to be counted first, jobs that wait for it.
--
-- Locks: the limits, see lock_limits. What was freed is looked at before it is folded: others only ever add to it.
create or replace function howdah.room_for_all(i_limits bigint[], i_counts integer[])
    returns boolean
    language plpgsql
as $$
begin
    if i_limits is null then
        return true;
    elsif cardinality(howdah.lock_limits(i_limits)) < cardinality(i_limits) then
        return false;
    elsif exists (
        select from unnest(i_limits, i_counts) u (id, jobs) join howdah.limits l on l.id = u.id
         where l.rate is not null or l.adopted_at is null
            or l.used + u.jobs - (select coalesce(sum(f.slots), 0) from howdah.freed f where f.limit_id = l.id) > l.max_running
            or (select true from howdah.blocked b where b.kind = 'limit' and b.limit_id = l.id limit 1))
    then
        return false;
    end if;
    with freed as (
        delete from howdah.freed f where f.limit_id = any (i_limits) returning f.limit_id, f.slots
    )
    update howdah.limits l
       set used = l.used + u.jobs - (select coalesce(sum(f.slots), 0) from freed f where f.limit_id = l.id)
      from unnest(i_limits, i_counts) u (id, jobs) where l.id = u.id;
    return true;
end;
$$;

comment on function howdah.room_for_all is 'Take slots for many jobs at once.';
