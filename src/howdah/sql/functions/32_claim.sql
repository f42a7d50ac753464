-- claim: ready ─► running, for consume and exchange.
-- Hot functions are PL/pgSQL, whose plans are kept for the session, with the planner pinned both ways: queue tables change
-- size a thousandfold in a minute, and a caller's own settings must not choose a plan that stays.

-- howdah.new_lanes: lanes that hold jobs but that no tick has recorded yet.
--
-- Probes only the gaps between known lanes: a known lane's dead entries are never walked. One probe a gap and one a lane
-- found; one statement, because this runs while somebody waits for the job that a worker was woken for. Without bitmap
-- scans, which would collect all of a gap to find its first row.
create or replace function howdah.new_lanes()
    returns table (queue text, priority smallint)
    language plpgsql
    stable
    set enable_bitmapscan = off
as $$
#variable_conflict use_column
begin
    return query
    with recursive gap as (
        select k.queue, k.priority,
               lead(k.queue, 1, '~') over w as next_queue,      -- ~ is above every name
               lead(k.priority, 1, '-32768'::smallint) over w as next_priority
          from (select '' collate "C" as queue, '-32768'::smallint as priority
                union all
                select l.queue, l.priority from howdah.lane l) k
        window w as (order by k.queue, k.priority)
    ), found as (
        select f.queue, f.priority, g.next_queue, g.next_priority
          from gap g
         cross join lateral (
                select r.queue, r.priority from howdah.ready r
                 where (r.queue, r.priority) > (g.queue, g.priority)
                   and (r.queue, r.priority) < (g.next_queue, g.next_priority)
                 order by r.queue, r.priority, r.pos limit 1) f
        union all       -- and what is left of its gap
        select f.queue, f.priority, g.next_queue, g.next_priority
          from found g
         cross join lateral (
                select r.queue, r.priority from howdah.ready r
                 where (r.queue, r.priority) > (g.queue, g.priority)
                   and (r.queue, r.priority) < (g.next_queue, g.next_priority)
                 order by r.queue, r.priority, r.pos limit 1) f
    )
    select f.queue, f.priority from found f;
end;
$$;

comment on function howdah.new_lanes is 'Lanes of ready that the tick has not recorded yet.';


-- howdah.claim: ready ─► running for up to i_num jobs.
--
-- Order: priority; between queues of one priority the one whose oldest job has waited longest; inside a lane FIFO. What
-- one call has taken it returns by priority, then by the order of becoming ready.
-- Fence: each run draws its number from run_seq. Locks: the claimed rows of ready, SKIP LOCKED.
-- MATERIALIZED and the array of places take exactly the rows that were locked: `id in (select … limit n)` may be run
-- again per row by the planner and take more than asked. An array costs half of a join by place.
create or replace function howdah.claim(
    i_num       integer,
    i_worker_id bigint,
    i_queues    text[],
    i_topic     text,       -- LIKE pattern
    i_tasks     text[],     -- null: every task
    i_patterns  text[],
    i_discover  boolean,    -- also look for lanes that no tick has recorded
    i_now       timestamptz
)
    returns setof howdah.claimed
    language plpgsql
    volatile
    set enable_bitmapscan = off     -- it would collect a whole lane to find its first row
as $$
begin
    perform howdah.live();      -- before the first number is drawn
    return query
    with lane as materialized (
        select l.queue, l.priority, l.floor, head.pos
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
        select array(
                select f.row
                  from (select * from lane order by lane.priority desc, lane.pos) l
                 cross join lateral (
                        select r.ctid as row from howdah.ready r
                         where r.queue = l.queue and r.priority = l.priority and r.pos > l.floor
                           and (i_topic is null or r.task like i_topic)
                           and (i_tasks is null or r.task = any (i_tasks) or r.task like any (i_patterns))
                         order by r.queue, r.priority, r.pos
                         limit i_num
                           for update skip locked) f
                 limit i_num) as rows
    ), removed as (
        delete from howdah.ready r where r.ctid = any ((select t.rows from taken t)::tid[])
        returning r.pos, r.id, r.attempt, r.task, r.queue, r.priority
    ), picked as materialized (
        select m.pos, m.id, nextval('howdah.run_seq') as run_id, m.attempt + 1 as attempt, m.task, m.queue, m.priority,
               coalesce(j.timeout, t.timeout, 60) as timeout, coalesce(j.max_retries, t.max_retries, 3) as max_retries,
               j.key, j.headers, j.meta, j.body, coalesce(j.result_ttl, t.result_ttl) as result_ttl
          from removed m
          join howdah.job j on j.id = m.id
          left join howdah.task t on t.name = j.task
    ), started as (
        insert into howdah.running (id, run_id, worker_id, attempt, started_at, deadline, result_ttl)
        select p.id, p.run_id, i_worker_id, p.attempt, i_now, i_now + make_interval(secs => p.timeout), p.result_ttl
          from picked p
    )
    select p.id, p.run_id, p.attempt, p.task, p.queue, p.priority, p.timeout, p.max_retries, p.key, p.headers, p.meta,
           p.body
      from picked p
     order by p.priority desc, p.pos;
end;
$$;

comment on function howdah.claim is 'Move up to i_num jobs from ready to running and return them in the order of claiming.';
