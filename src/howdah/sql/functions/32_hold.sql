-- Before deciding about limits: lock them, and tell how much room they have. See functions/32_limited.sql.

-- howdah.lock_limits: locks these limits, in their order; answers those that it got.
--
-- Waits for others who decide at this moment, that is until they commit. Not for a consumer that keeps its transaction open:
-- after 400 ms what is free must do, and for five seconds nobody waits again. Nor does who holds limits already: the order
-- would be lost, in which nobody can wait for somebody who waits for him. A setting of the transaction remembers that.
create or replace function howdah.lock_limits(i_ids bigint[])
    returns bigint[]
    language plpgsql
    set lock_timeout = '400ms'
as $$
declare
    v_first constant boolean := coalesce(current_setting('howdah.holds_limits', true), '') <> 'yes';
begin
    perform set_config('howdah.holds_limits', 'yes', true);
    if v_first and howdah.milliseconds() - (select s.last_value from howdah.last_patience s) not between 0 and 4999 then
        begin
            return array(select l.id from howdah.limits l where l.id = any (i_ids) order by l.id for update);
        exception when lock_not_available or deadlock_detected then
            perform setval('howdah.last_patience', howdah.milliseconds());
        end;
    end if;
    return array(select l.id from howdah.limits l where l.id = any (i_ids) order by l.id for update skip locked);
end;
$$;

comment on function howdah.lock_limits is 'Lock limits, waiting a moment.';


-- howdah.hold_lines: locks up to i_num limits that may have room for the first job of their lines, which this worker may run; tells
-- how many of each line to look at. many: so many lines were looked into.
--
-- Looks into i_window lines at most, beginning anywhere: they come in order, and one that has waited longer for another limit is not
-- passed for long. Locks: limits, SKIP LOCKED.
create or replace function howdah.hold_lines(
    i_num integer, i_window integer, i_queues text[], i_topic text, i_tasks text[], i_patterns text[], i_labels text[],
    i_shut text[], i_now timestamptz, out limit_ids bigint[], out rooms integer[], out many bigint)
    language plpgsql
    set enable_bitmapscan = off     -- it would collect all that wait for a limit to find the first
as $$
declare
    v_start constant bigint := random() * 9e18;
begin
    with recursive upper (limit_id) as (        -- each limit once, whatever many rows it has
        (select f.limit_id from howdah.freed f where f.limit_id >= v_start order by f.limit_id limit 1)
        union all
        select (select f.limit_id from howdah.freed f where f.limit_id > u.limit_id order by f.limit_id limit 1)
          from upper u where u.limit_id is not null
    ), lower (limit_id) as (
        (select f.limit_id from howdah.freed f where f.limit_id < v_start order by f.limit_id limit 1)
        union all
        select (select f.limit_id from howdah.freed f
                 where f.limit_id > l.limit_id and f.limit_id < v_start order by f.limit_id limit 1)
          from lower l where l.limit_id is not null
    ), hinted as (
        select l.id as limit_id from howdah.limits l
         where l.opens_at <= i_now and not exists (select from howdah.freed f where f.limit_id = l.id)
        union all
        select u.limit_id from upper u where u.limit_id is not null
        union all
        select l.limit_id from lower l where l.limit_id is not null
    ), line as materialized (
        select h.limit_id, b.id as first, b.priority, b.pos
          from hinted h
         cross join lateral (
                select x.id, x.queue, x.lane, x.priority, x.pos, x.task from howdah.blocked x
                 where x.kind = 'limit' and x.limit_id = h.limit_id order by x.limit_id, x.priority desc, x.pos limit 1) b
         where howdah.may_start(b.queue, b.lane, b.task, i_queues, i_topic, i_tasks, i_patterns, i_labels, i_shut)
         limit i_window
    ), locked as materialized (
        select l.id as limit_id, l.max_running, l.by_hand, l.used, o.first
          from (select l.* from line l order by l.priority desc, l.pos) o join howdah.limits l on l.id = o.limit_id
         order by o.priority desc, o.pos limit i_num for update of l skip locked
    ), held as (
        select l.* from locked l
        union all       -- a key that somebody has waited for before it had a row gets one now
        select l.limit_id, null, null, null, l.first from line l
         where not exists (select from howdah.limits x where x.id = l.limit_id)
    )
    select array_agg(h.limit_id), array_agg(
           case when h.max_running is null and h.by_hand then i_num
                -- a key's row knows its first job's word only
                else least(i_num, greatest(1,
                     coalesce(case when h.by_hand then h.max_running else j.concurrency_limit end, 1) - coalesce(h.used, 0)
                     + (select coalesce(sum(f.slots), 0) from howdah.freed f where f.limit_id = h.limit_id)))::integer end),
           (select count(*) from line)
      into limit_ids, rooms, many
      from held h join howdah.job j on j.id = h.first;
end;
$$;

comment on function howdah.hold_lines is 'Lock limits for which jobs wait that may start now.';


-- howdah.hold_limits: locks the limits of these jobs, folds in what was freed, and tells how much room each has.
--
-- What is read after the lock is read by new statements, whose snapshots have seen what the last holder committed. A key that
-- nobody has seen before gets its row under a lock of its own: inserting alone would wait for whoever inserts the same key and
-- has not committed.
create or replace function howdah.hold_limits(i_contenders howdah.contender[], i_now timestamptz)
    returns howdah.limit_state
    language plpgsql
as $$
declare
    v_wanted constant bigint[] := array(
        select distinct x.id from unnest(i_contenders) c
         cross join lateral (values (c.key_limit), (c.task_limit), (c.queue_limit)) x (id)
         where c.place = 'ready' and x.id is not null);
    v_needed constant bigint[] := v_wanted || array(
        select distinct x.id from unnest(i_contenders) c
         cross join lateral (values (c.key_limit), (c.task_limit), (c.queue_limit), (c.waits_for)) x (id)
         where c.place = 'blocked' and x.id is not null and x.id <> all (v_wanted));
    v_locked bigint[];
    v_held   howdah.limit_state;
    v_limit  howdah.limits;
begin
    if v_needed = '{}' then
        return v_held;
    end if;
    v_locked := howdah.lock_limits(v_wanted);
    if cardinality(v_needed) > cardinality(v_wanted) then       -- what waits can wait for the next decision as well
        v_locked := v_locked || array(
            select l.id from howdah.limits l where l.id = any (v_needed) and l.id <> all (v_wanted) order by l.id
               for update skip locked);
    end if;
    with held as materialized (
        select l.* from howdah.limits l where l.id = any (v_locked)
    ), freed as (
        delete from howdah.freed f where f.limit_id = any (v_locked)
        returning f.limit_id, f.slots
    ), sums as (        -- not a join: each limit has one row here and any number of others
        select u.id, max(u.used) as used, coalesce(sum(u.slots), 0)::integer as slots, max(u.max_running) as max_running,
               bool_or(u.by_hand) as by_hand, max(u.opens_at) as opens_at
          from (select h.id, h.used, null as slots, h.max_running, h.by_hand, h.opens_at from held h
                union all
                select f.limit_id, null, f.slots, null, null, null from freed f) u
         group by u.id
    )
    select array_agg(s.id), array_agg(s.used), array_agg(s.used - s.slots), array_agg(s.max_running), array_agg(s.by_hand),
           array_agg(null::integer), array_agg(s.opens_at)
      into v_held.ids, v_held.before, v_held.used, v_held.max_running, v_held.by_hand, v_held.tokens, v_held.opens_at
      from sums s;
    if coalesce(cardinality(v_held.ids), 0) < cardinality(v_needed) then
        v_held := howdah.bear_keys(i_contenders, v_needed, v_held);
    end if;
    for v_limit in
        select l.* from howdah.limits l
         where l.id = any (array(select u.id from unnest(v_held.ids, v_held.by_hand) u (id, by_hand) where u.by_hand))
           and (l.rate is not null or l.adopted_at is null)
    loop
        v_held := howdah.look_into_limit(v_held, v_limit, i_now);
    end loop;
    return howdah.with_backlogs(v_held, i_contenders);
end;
$$;

comment on function howdah.hold_limits is 'Lock limits and tell how much room they have.';


-- howdah.with_backlogs: for each limit, whether a job of it waits that a ready one must not pass: in blocked, or, of a key, in
-- ready, where another claim may be looking at it; which is the first one in blocked, and whether it is another claim's.
--
-- SKIP LOCKED passes over what another claim has locked and not decided upon yet; only after the limit's lock can be told what
-- is really the first. One statement: between two a job could move from one place to the other.
create or replace function howdah.with_backlogs(i_held howdah.limit_state, i_contenders howdah.contender[])
    returns howdah.limit_state
    language plpgsql
    set enable_bitmapscan = off     -- it would collect all jobs of a limit to find the first
    set enable_hashjoin = on        -- of what is held with what contends: neither is a table
as $$
begin
    with waiting as materialized (
        select true as some from howdah.blocked b where b.kind = 'limit' limit 1
    ), contender as materialized (
        select c.place, c.id, case c.place when 'ready' then c.key_limit else c.waits_for end as limit_id, c.n
          from unnest(i_contenders) with ordinality c (
                   place, at_row, id, pos, attempt, task, queue, lane, priority, key_limit, task_limit, queue_limit, waits_for,
                   fits, slots, at_most, n)
    ), mine as materialized (
        select distinct on (c.place, c.limit_id) c.place, c.limit_id, c.id
          from contender c where c.limit_id is not null order by c.place, c.limit_id, c.n
    ), first as materialized (
        select u.n, r.id as my_ready, b.id as my_blocked, l.id as blocked, l.priority, l.pos,
               case when r.id is not null then
                   (select x.id from howdah.ready x where x.key_limit = u.id
                     order by x.key_limit, x.priority desc, x.pos limit 1) end as ready
          from unnest(i_held.ids) with ordinality u (id, n)
          left join mine r on r.place = 'ready' and r.limit_id = u.id
          left join mine b on b.place = 'blocked' and b.limit_id = u.id
          left join lateral (
               select x.id, x.priority, x.pos from howdah.blocked x
                where (select w.some from waiting w) and x.kind = 'limit' and x.limit_id = u.id
                order by x.limit_id, x.priority desc, x.pos limit 1) l on true
    )
    select array_agg(f.blocked is not null or coalesce(f.ready <> f.my_ready, false) order by f.n),
           array_agg(coalesce(f.blocked <> f.my_blocked, false) order by f.n),
           array_agg(f.priority order by f.n), array_agg(f.pos order by f.n)
      into i_held.backlog, i_held.elsewhere, i_held.priorities, i_held.positions
      from first f;
    return i_held;
end;
$$;

comment on function howdah.with_backlogs is 'Limits for which something waits already.';


-- howdah.bear_keys: adds rows of keys that have none to the limits held. Locks: births, SKIP LOCKED.
create or replace function howdah.bear_keys(
    i_contenders howdah.contender[], i_needed bigint[], i_held howdah.limit_state)
    returns howdah.limit_state
    language plpgsql
as $$
declare
    v_missing constant bigint[] := array(
        select n from unnest(i_needed) n where not exists (select from howdah.limits l where l.id = n));
    v_born    bigint[];
    v_most    integer[];
begin
    if v_missing = '{}' then
        return i_held;
    end if;
    with bucket as materialized (
        select b.n from howdah.birth b
         where b.n = any (array(select distinct (m & 63)::integer from unnest(v_missing) m)) order by b.n for update skip locked
    ), parent as (
        select distinct on (c.key_limit) c.key_limit, j.concurrency_key, c.at_most
          from unnest(i_contenders) c join howdah.job j on j.id = c.id
         where c.key_limit = any (v_missing) and (c.key_limit & 63)::integer in (select b.n from bucket b)
         order by c.key_limit
    ), born as (
        insert into howdah.limits (id, kind, name, max_running)
        select p.key_limit, 'key', p.concurrency_key, p.at_most from parent p on conflict (id) do nothing
        returning id, max_running
    )
    select array_agg(b.id), array_agg(b.max_running) into v_born, v_most from born b;
    i_held.ids := i_held.ids || v_born;
    i_held.max_running := i_held.max_running || v_most;
    i_held.before := i_held.before || array_fill(0, array[coalesce(cardinality(v_born), 0)]);
    i_held.used := i_held.used || array_fill(0, array[coalesce(cardinality(v_born), 0)]);
    i_held.by_hand := i_held.by_hand || array_fill(false, array[coalesce(cardinality(v_born), 0)]);
    i_held.tokens := i_held.tokens || array_fill(null::integer, array[coalesce(cardinality(v_born), 0)]);
    i_held.opens_at := i_held.opens_at || array_fill(null::timestamptz, array[coalesce(cardinality(v_born), 0)]);
    return i_held;
end;
$$;

comment on function howdah.bear_keys is 'Make the rows of keys met for the first time.';


-- howdah.look_into_limit: what a new limit, or one with a rate, needs besides its row.
--
-- A sliding window: what has started within the last `per` seconds counts, both ends included.
create or replace function howdah.look_into_limit(i_held howdah.limit_state, i_limit howdah.limits, i_now timestamptz)
    returns howdah.limit_state
    language plpgsql
as $$
declare
    v_place constant integer := array_position(i_held.ids, i_limit.id);
begin
    if i_limit.rate is not null then
        i_held.tokens[v_place] := i_limit.rate - (
            select coalesce(sum(s.starts), 0) from howdah.start s
             where s.limit_id = i_limit.id and s.at >= i_now - make_interval(secs => i_limit.per));
        i_held.opens_at[v_place] := null;
    end if;
    if i_limit.by_hand and i_limit.adopted_at is null then
        i_held.used[v_place] := i_held.used[v_place] + howdah.adopt_runs(i_limit, i_now);
        if not exists (select from howdah.limits l where l.id = i_limit.id and l.adopted_at is not null) then
            i_held.tokens[v_place] := 0;        -- closed until we know what was running before it
        end if;
    end if;
    return i_held;
end;
$$;

comment on function howdah.look_into_limit is 'Count the starts of a rate, and the runs that were there before a limit.';
