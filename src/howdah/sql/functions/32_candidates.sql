-- candidates: which ready jobs are next, where there is more to heed than priorities: queues in an order or with shares,
-- tenants, labels, ageing. A system that uses none of it never comes here.
--
-- Lanes of one queue and priority are of one level. A level of several lanes (tenants) is taken by turns: each lane gives an
-- equal part of what is wanted, what one has not got the others give, and each call begins with another lane.

-- howdah.turn_now: where the turn is, from 0 to 1. The golden ratio spreads any number of calls evenly, and every second,
-- third … call of them as well: two consumers that call in step must not always see the same tenants in front.
create or replace function howdah.turn_now()
    returns double precision
    language plpgsql
    volatile
as $$
declare
    v_turn double precision;
begin
    if pg_sequence_last_value('howdah.controls'::regclass) is distinct from 2 then
        return 0;       -- nobody takes turns
    end if;
    v_turn := nextval('howdah.turn') * 0.6180339887498949::double precision;
    return v_turn - floor(v_turn);
end;
$$;

comment on function howdah.turn_now is 'Where the next turn begins, from 0 to 1.';


-- howdah.heads: the oldest job of each lane that may be looked into; of each level the lanes on some of its seats, which are
-- dealt out anew at each turn.
create or replace function howdah.heads(
    i_seats int8range, i_queues text[], i_labels text[], i_discover boolean, i_limited howdah.limited, i_turn double precision)
    returns table (lane text, queue text, tenant text, priority smallint, floor bigint, pos bigint, id bigint, seat bigint)
    language plpgsql
    volatile
    set enable_bitmapscan = off     -- it would collect a whole lane to find its first row
as $$
#variable_conflict use_column
declare
    v_shut constant text[] := array(
        select q.queue from howdah.queue q where q.paused_at is not null
        union all
        select r.queue from unnest(i_limited.queues, i_limited.rooms) r (queue, room) where r.room <= 0);
begin
    return query
    with allowed as materialized (
        select k.queue as lane, k.base, k.tenant, k.priority, k.floor from howdah.lane k
         where (i_queues is null or k.base = any (i_queues)) and k.base <> all (v_shut)
           and (k.labels is null or k.labels <@ i_labels)
        union all
        select n.queue, howdah.queue_of(n.queue), howdah.tenant_of(n.queue), n.priority, 0 from howdah.new_lanes() n
         where i_discover
           and (i_queues is null or howdah.queue_of(n.queue) = any (i_queues)) and howdah.queue_of(n.queue) <> all (v_shut)
           and (howdah.labels_of(n.queue) is null or howdah.labels_of(n.queue) <@ i_labels)
    ), seated as (
        select n.*, (n.place - 1 + n.many - floor(i_turn * n.many)::bigint) % n.many as seat
          from (select a.*, count(*) over (partition by a.base, a.priority) as many,
                       row_number() over (partition by a.base, a.priority order by a.lane) as place
                  from allowed a) n
    )
    select s.lane, s.base, s.tenant, s.priority, s.floor, head.pos, head.id, s.seat
      from seated s
     cross join lateral (
            select r.pos, r.id from howdah.ready r
             where r.queue = s.lane and r.priority = s.priority and r.pos > s.floor
             order by r.queue, r.priority, r.pos limit 1) head
     where s.seat <@ i_seats;
end;
$$;

comment on function howdah.heads is 'The oldest job of each lane that a claim may look into.';


-- howdah.open_lanes: the lanes with jobs, in the order in which they are to be taken.
--
-- Order: with i_strict the queues as they are given; priority; between queues of one priority the one whose oldest job has
-- waited longest; then the turn.
create or replace function howdah.open_lanes(
    i_seats int8range, i_queues text[], i_strict boolean, i_labels text[], i_discover boolean,
    i_limited howdah.limited,     i_turn double precision)
    returns setof howdah.open_lane
    language plpgsql
    volatile
as $$
begin
    return query
    select l.lane, l.queue, l.priority, l.floor, 9223372036854775807,
           (dense_rank() over (order by l.rank, l.priority desc, l.first, l.queue))::integer as level,
           (count(*) over (partition by l.queue, l.priority))::integer
      from (select h.*, case when i_strict then array_position(i_queues, h.queue) end as rank,
                   min(h.pos) over (partition by h.queue, h.priority) as first
              from howdah.heads(i_seats, i_queues, i_labels, i_discover, i_limited, i_turn) h) l
     order by level, l.seat;
end;
$$;

comment on function howdah.open_lanes is 'Lanes with jobs in the order in which they are to be taken.';


-- howdah.aged_lanes: the same for jobs that have waited longer than their queue's ageing allows: oldest first, whatever their
-- priority and wherever their queue stands; tenants by turns.
--
-- What is older lies in front, so a lane's aged jobs are those before its first that is not: `until` says how far. A job that
-- has come back counts from the first moment at which it was due.
create or replace function howdah.aged_lanes(
    i_num integer, i_seats int8range, i_queues text[], i_labels text[], i_discover boolean,
    i_limited howdah.limited,     i_turn double precision, i_now timestamptz)
    returns setof howdah.open_lane
    language plpgsql
    volatile
    set enable_bitmapscan = off     -- it would collect a whole lane to find its first row
as $$
declare
    v_queues constant text[] := array(
        select q.queue from howdah.queue q
         where q.ageing is not null and (i_queues is null or q.queue = any (i_queues)));
begin
    if v_queues = '{}' then
        return;
    end if;
    return query
    with head as materialized (
        select h.*, greatest(j.created_at, j.scheduled_at) as due, i_now - howdah.seconds(q.ageing) as before
          from howdah.heads(i_seats, v_queues, i_labels, i_discover, i_limited, i_turn) h
          join howdah.queue q on q.queue = h.queue
          join howdah.job j on j.id = h.id
         where greatest(j.created_at, j.scheduled_at) <= i_now - howdah.seconds(q.ageing)
    ), aged as (
        select h.*, coalesce(r.young - 1, r.last) as until
          from head h
         cross join lateral (
                select min(x.pos) filter (where greatest(j.created_at, j.scheduled_at) > h.before) as young,
                       max(x.pos) as last
                  from (select r.pos, r.id from howdah.ready r
                         where r.queue = h.lane and r.priority = h.priority and r.pos >= h.pos
                         order by r.queue, r.priority, r.pos limit i_num) x
                  join howdah.job j on j.id = x.id) r
    )
    select l.lane, l.queue, l.priority, l.pos - 1, l.until,
           (dense_rank() over (order by l.oldest, l.first))::integer as level,
           (count(*) over (partition by l.part))::integer
      from (select a.*, p.part, min(a.due) over (partition by p.part) as oldest,
                   min(a.pos) over (partition by p.part) as first
              from aged a
             -- tenants take turns, whatever the priorities; else each lane is a level of its own
             cross join lateral (select case when a.lane = a.queue then a.queue || ' ' || a.priority else a.queue end) p (part)) l
     order by level, l.seat, l.priority desc;
end;
$$;

comment on function howdah.aged_lanes is 'Lanes with jobs that have waited too long, oldest first.';


-- howdah.part_of: how many of i_num jobs the lane on a seat (from 1) gives, of so many lanes.
create or replace function howdah.part_of(i_num integer, i_seat bigint, i_lanes integer)
    returns integer
    language sql
    immutable parallel safe
    return i_num / i_lanes + case when i_seat <= i_num % i_lanes then 1 else 0 end;

comment on function howdah.part_of is 'The part of a number that falls to one of several.';


-- howdah.take: locks up to i_num jobs, in the order of the lanes; with i_mixed, each lane gives its part and the answer goes
-- round them.
--
-- Locks: rows of ready, SKIP LOCKED. i_taken: rows locked already, which SKIP LOCKED would find again.
create or replace function howdah.take(
    i_lanes howdah.open_lane[], i_num integer, i_topic text, i_tasks text[], i_patterns text[],
    i_taken tid[], i_mixed boolean, i_limited howdah.limited)
    returns howdah.candidate[]
    language plpgsql
    volatile
    set enable_bitmapscan = off     -- it would collect a whole lane to find its first row
as $$
declare
    v_jobs howdah.candidate[];
begin
    v_jobs := array(
        select row(f.row, f.id, f.pos, f.attempt, l.queue, l.lane, l.priority, f.task, f.key_limit, f.asks)::howdah.candidate
          from unnest(i_lanes) with ordinality l (lane, queue, priority, after, until, level, lanes, n)
         cross join lateral (
                select r.ctid as row, r.id, r.pos, r.attempt, r.task, r.key_limit, r.asks from howdah.ready r
                 where r.queue = l.lane and r.priority = l.priority and r.pos > l.after and r.pos <= l.until
                   and (i_topic is null or r.task like i_topic)
                   and (i_tasks is null or r.task = any (i_tasks) or r.task like any (i_patterns))
                   and r.ctid <> all (i_taken)
                 order by r.queue, r.priority, r.pos
                 limit least(case when i_mixed then howdah.part_of(i_num, l.n, cardinality(i_lanes)) else i_num end,
                             i_limited.rooms[array_position(i_limited.queues, l.queue)])
                   for update skip locked) f
         limit i_num);
    return case when i_mixed then howdah.in_rounds(v_jobs) else v_jobs end;
end;
$$;

comment on function howdah.take is 'Lock jobs of some lanes.';


-- howdah.in_rounds: jobs that lie lane after lane, as if one had been taken of each lane, then the next of each.
create or replace function howdah.in_rounds(i_jobs howdah.candidate[])
    returns howdah.candidate[]
    language sql
    stable
as $$
    select array(
        select row(j.row, j.id, j.pos, j.attempt, j.queue, j.lane, j.priority, j.task, j.key_limit, j.asks)::howdah.candidate
          from unnest(i_jobs) with ordinality j (row, id, pos, attempt, queue, lane, priority, task, key_limit, asks, n)
         order by row_number() over (partition by j.lane, j.priority order by j.n), j.n);
$$;

comment on function howdah.in_rounds is 'Mix the jobs of several lanes one by one.';


-- howdah.take_levels: locks up to i_num jobs, level after level; the next one only when the one before has no more.
create or replace function howdah.take_levels(
    i_lanes howdah.open_lane[], i_num integer, i_topic text, i_tasks text[], i_patterns text[], i_taken tid[],
    i_limited howdah.limited)
    returns howdah.candidate[]
    language plpgsql
    volatile
as $$
declare
    v_jobs  howdah.candidate[] := '{}';
    v_found howdah.candidate[];
    v_taken tid[] := i_taken;
    v_lanes howdah.open_lane[];
    v_mixed boolean;
    v_from  integer := 1;
    v_to    integer;
    v_left  integer := i_num;
    v_asked integer;
begin
    while v_left > 0 and v_from <= cardinality(i_lanes) loop
        -- one level of several lanes, or as many levels of one lane as follow each other
        v_mixed := i_lanes[v_from].lanes > 1;
        v_to := v_from + i_lanes[v_from].lanes - 1;
        while not v_mixed and i_lanes[v_to + 1].lanes = 1 loop
            v_to := v_to + 1;
        end loop;
        v_lanes := i_lanes[v_from:v_to];
        v_from := v_to + 1;
        loop
            v_asked := v_left;
            v_found := howdah.take(v_lanes, v_asked, i_topic, i_tasks, i_patterns, v_taken, v_mixed, i_limited);
            v_jobs := v_jobs || v_found;
            v_left := v_left - cardinality(v_found);
            exit when not v_mixed or v_left = 0;
            v_lanes := howdah.unexhausted(v_lanes, v_found, v_asked);
            exit when v_lanes = '{}';
            v_taken := v_taken || array(select f.row from unnest(v_found) f);
        end loop;
    end loop;
    return v_jobs;
end;
$$;

comment on function howdah.take_levels is 'Lock jobs, level after level.';


-- howdah.unexhausted: the lanes that have given all of their part, those first that have given least.
create or replace function howdah.unexhausted(
    i_lanes howdah.open_lane[], i_found howdah.candidate[], i_num integer)
    returns howdah.open_lane[]
    language sql
    stable
as $$
    select array(
        select row(l.lane, l.queue, l.priority, l.after, l.until, l.level, l.lanes)::howdah.open_lane
          from unnest(i_lanes) with ordinality l (lane, queue, priority, after, until, level, lanes, n)
          left join (select f.lane, f.priority, count(*) as jobs from unnest(i_found) f group by 1, 2) g
            on g.lane = l.lane and g.priority = l.priority
         where coalesce(g.jobs, 0) >= howdah.part_of(i_num, l.n, cardinality(i_lanes))
         order by coalesce(g.jobs, 0), l.n);
$$;

comment on function howdah.unexhausted is 'Lanes that may have more.';


-- howdah.take_next: locks the next i_num jobs of some queues.
create or replace function howdah.take_next(
    i_num integer, i_queues text[], i_strict boolean, i_topic text, i_tasks text[], i_patterns text[], i_labels text[],
    i_discover boolean, i_limited howdah.limited, i_taken tid[], i_now timestamptz)
    returns howdah.candidate[]
    language plpgsql
    volatile
as $$
declare
    v_turn   constant double precision := howdah.turn_now();
    v_window constant bigint := greatest(i_num, 64);
    v_seats  int8range := int8range(0, v_window);
    v_taken  tid[] := i_taken;
    v_lanes  howdah.open_lane[];
    v_jobs   howdah.candidate[] := '{}';
begin
    if exists (select from howdah.queue q where q.ageing is not null) then
        v_lanes := array(select a from howdah.aged_lanes(
            i_num, v_seats, i_queues, i_labels, i_discover, i_limited, v_turn, i_now) a);
        v_jobs := howdah.take_levels(v_lanes, i_num, i_topic, i_tasks, i_patterns, v_taken, i_limited);
        v_taken := v_taken || array(select j.row from unnest(v_jobs) j);
    end if;
    while cardinality(v_jobs) < i_num loop
        v_lanes := array(select o from howdah.open_lanes(
            v_seats, i_queues, i_strict, i_labels, i_discover, i_limited, v_turn) o);
        v_jobs := v_jobs || howdah.take_levels(
            v_lanes, i_num - cardinality(v_jobs), i_topic, i_tasks, i_patterns, v_taken, i_limited);
        -- those whose turn it is have no more: all others
        exit when upper_inf(v_seats) or not exists (select from howdah.lane l offset v_window);
        v_seats := int8range(v_window, null);
    end loop;
    return v_jobs;
end;
$$;

comment on function howdah.take_next is 'Lock the next jobs of some queues.';


-- howdah.candidates: locks and returns up to i_num ready jobs in the order in which they are to be taken.
--
-- Order: what has aged; the queues as they are given; priority; tenants by turns; FIFO. i_shares, one number for each of
-- i_queues: so many of each queue, mixed; what one has not got the others give, in their order. Of a queue in
-- i_limited no lane is asked for more. Locks: the rows returned, SKIP LOCKED.
create or replace function howdah.candidates(
    i_num      integer,
    i_queues   text[],
    i_topic    text,        -- LIKE pattern
    i_tasks    text[],      -- null: every task
    i_patterns text[],
    i_labels   text[],      -- what the claimer has
    i_discover boolean,     -- also look for lanes that no tick has recorded
    i_now      timestamptz,
    i_limited    howdah.limited default null,
    i_shares   integer[] default null
)
    returns howdah.candidate[]
    language plpgsql
    volatile
as $$
declare
    v_labels constant text[] := coalesce(i_labels, '{}');
    v_jobs   howdah.candidate[] := '{}';
    v_queue  text;
    v_share  integer;
begin
    for v_queue, v_share in select s.queue, s.share from unnest(i_queues, i_shares) s (queue, share) where s.share > 0 loop
        v_jobs := v_jobs || howdah.take_next(least(v_share, i_num - cardinality(v_jobs)), array[v_queue], false, i_topic,
            i_tasks, i_patterns, v_labels, i_discover, i_limited, '{}', i_now);
    end loop;
    if v_jobs <> '{}' then
        v_jobs := howdah.mixed(v_jobs, i_queues, i_shares);
    end if;
    if cardinality(v_jobs) < i_num then
        v_jobs := v_jobs || howdah.take_next(i_num - cardinality(v_jobs), i_queues, true, i_topic, i_tasks, i_patterns,
            v_labels, i_discover, i_limited, array(select j.row from unnest(v_jobs) j), i_now);
    end if;
    return v_jobs;
end;
$$;

comment on function howdah.candidates is 'Lock up to i_num ready jobs; returns them in the order in which they are to be taken.';


-- howdah.mixed: the jobs of several queues as if they had been taken one by one.
create or replace function howdah.mixed(i_jobs howdah.candidate[], i_queues text[], i_shares integer[])
    returns howdah.candidate[]
    language sql
    stable
as $$
    select array(
        select row(j.row, j.id, j.pos, j.attempt, j.queue, j.lane, j.priority, j.task, j.key_limit, j.asks)::howdah.candidate
          from unnest(i_jobs) with ordinality j (row, id, pos, attempt, queue, lane, priority, task, key_limit, asks, n)
         order by row_number() over (partition by j.queue order by j.n)
                  / i_shares[array_position(i_queues, j.queue)]::double precision, j.n);
$$;

comment on function howdah.mixed is 'Mix the jobs of several queues by their shares.';
