-- Deciding about limits: hold them, and judge. See functions/32_limited.sql; what becomes of the jobs: 32_judged.sql.

-- howdah.hold_limits: locks the limits of these jobs, folds in what was freed, and tells how much room each has.
--
-- Locks: limits by number, SKIP LOCKED. What is read after the lock is read by new statements, whose snapshots have seen
-- what the last holder committed. A key that nobody has seen before gets its row under a lock of its own: inserting alone
-- would wait for whoever inserts the same key and has not committed.
create or replace function howdah.hold_limits(i_contenders howdah.contender[], i_now timestamptz)
    returns howdah.limit_state
    language plpgsql
as $$
declare
    v_needed constant bigint[] := array(
        select distinct x.id from unnest(i_contenders) c
         cross join lateral unnest(array[c.key_limit, c.task_limit, c.queue_limit, c.waits_for]) x (id)
         where x.id is not null order by x.id);
    v_held   howdah.limit_state;
    v_limit  howdah.limits;
begin
    if v_needed = '{}' then
        return v_held;
    end if;
    perform howdah.bear_keys(i_contenders, v_needed);
    with held as materialized (
        select l.* from howdah.limits l where l.id = any (v_needed) order by l.id for update skip locked
    ), freed as (
        delete from howdah.freed f using held h where f.limit_id = h.id returning f.limit_id, f.slots
    ), sums as (
        select f.limit_id, sum(f.slots)::integer as slots from freed f group by f.limit_id
    )
    select array_agg(h.id order by h.id),
           array_agg(h.used - coalesce(s.slots, 0) order by h.id), array_agg(h.max_running order by h.id),
           array_agg(h.by_hand order by h.id), array_agg(null::integer), array_agg(h.opens_at order by h.id)
      into v_held.ids, v_held.used, v_held.max_running, v_held.by_hand, v_held.tokens, v_held.opens_at
      from held h left join sums s on s.limit_id = h.id;
    for v_limit in
        select l.* from howdah.limits l
         where l.id = any (v_held.ids) and (l.rate is not null or (l.by_hand and l.adopted_at is null))
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
as $$
begin
    with contender as materialized (
        select c.place, c.id, case c.place when 'ready' then c.key_limit else c.waits_for end as limit_id, c.n
          from unnest(i_contenders) with ordinality c (
                   place, at_row, id, pos, attempt, task, queue, lane, priority, key_limit, task_limit, queue_limit, waits_for,
                   fits, slots, at_most, n)
    ), mine as materialized (
        select distinct on (c.place, c.limit_id) c.place, c.limit_id, c.id
          from contender c where c.limit_id is not null order by c.place, c.limit_id, c.n
    ), first as materialized (
        select u.id, u.n, b.id as blocked, b.priority, b.pos,
               (select r.id from howdah.ready r where r.key_limit = u.id
                 order by r.key_limit, r.priority desc, r.pos limit 1) as ready
          from unnest(i_held.ids) with ordinality u (id, n)
          left join lateral (
               select x.id, x.priority, x.pos from howdah.blocked x where x.kind = 'limit' and x.limit_id = u.id
                order by x.limit_id, x.priority desc, x.pos limit 1) b on true
    )
    select array_agg(f.blocked is not null or coalesce(f.ready <> r.id, false) order by f.n),
           array_agg(coalesce(f.blocked <> b.id, false) order by f.n),
           array_agg(f.priority order by f.n), array_agg(f.pos order by f.n)
      into i_held.backlog, i_held.elsewhere, i_held.priorities, i_held.positions
      from first f
      left join mine r on r.place = 'ready' and r.limit_id = f.id
      left join mine b on b.place = 'blocked' and b.limit_id = f.id;
    return i_held;
end;
$$;

comment on function howdah.with_backlogs is 'Limits for which something waits already.';


-- howdah.bear_keys: rows for keys that have none. Locks: births, SKIP LOCKED.
create or replace function howdah.bear_keys(i_contenders howdah.contender[], i_needed bigint[])
    returns void
    language plpgsql
as $$
declare
    v_missing constant bigint[] := array(
        select n from unnest(i_needed) n where not exists (select from howdah.limits l where l.id = n));
begin
    if v_missing = '{}' then
        return;
    end if;
    with bucket as materialized (
        select b.n from howdah.birth b
         where b.n = any (array(select distinct (m & 63)::integer from unnest(v_missing) m)) order by b.n for update skip locked
    ), born as (
        select distinct on (c.key_limit) c.key_limit, j.concurrency_key, c.at_most
          from unnest(i_contenders) c join howdah.job j on j.id = c.id
         where c.key_limit = any (v_missing) and (c.key_limit & 63)::integer in (select b.n from bucket b)
         order by c.key_limit
    )
    insert into howdah.limits (id, kind, name, max_running)
    select b.key_limit, 'key', b.concurrency_key, b.at_most from born b on conflict (id) do nothing;
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
        i_held.used[v_place] := i_held.used[v_place] + coalesce(howdah.adopt_runs(i_limit, i_now), 0);
        if not exists (select from howdah.limits l where l.id = i_limit.id and l.adopted_at is not null) then
            i_held.tokens[v_place] := 0;        -- closed until we know what was running before it
        end if;
    end if;
    return i_held;
end;
$$;

comment on function howdah.look_into_limit is 'Count the starts of a rate, and the runs that were there before a limit.';


-- howdah.most: how many slots a limit has for a job; null: no end of them. What is set for a key counts, else its job's word:
-- who sets only a rate has said nothing about slots.
create or replace function howdah.most(i_limits howdah.limit_state, i_place integer, i_is_key boolean, i_at_most integer)
    returns integer
    language sql
    immutable
    return case when i_is_key and (not i_limits.by_hand[i_place] or i_limits.max_running[i_place] is null) then coalesce(i_at_most, 1)
                else i_limits.max_running[i_place] end;

comment on function howdah.most is 'Slots of a limit.';


-- howdah.takes: how many slots a job takes: all of them rather than wait for more than there are; but one where there is none.
create or replace function howdah.takes(i_slots integer, i_most integer)
    returns integer
    language sql
    immutable
    return greatest(1, least(i_slots, i_most));

comment on function howdah.takes is 'Slots that a job takes of a limit.';


-- howdah.held: what a run holds: a limit, its slots, the next limit …; null: nothing.
create or replace function howdah.held(
    i_limits howdah.limit_state, i_slots integer, i_at_most integer, i_key bigint, i_task bigint, i_queue bigint)
    returns bigint[]
    language sql
    stable
as $$
    select array_agg(p.part order by x.n, p.n)
      from unnest(array[i_key, i_task, i_queue]) with ordinality x (id, n)
     cross join lateral (select array_position(i_limits.ids, x.id) as place) at
     cross join lateral (
            values (x.id, 1), (howdah.takes(i_slots, howdah.most(i_limits, at.place, x.n = 1, i_at_most))::bigint, 2)) p (part, n)
     where x.id is not null;
$$;

comment on function howdah.held is 'What a run holds.';


-- howdah.judge: which of these jobs may start, in their order, i_num of them at most. A pure decision.
--
-- A verdict: 0 start; -1 stay, as all do once i_num may start; else the number of the limit to wait for. Once a job has to
-- wait for a limit, those behind it wait too, however little they need: nobody is overtaken. The same for a job that comes
-- while others wait already.
create or replace function howdah.judge(i_contenders howdah.contender[], i_num integer, i_limits howdah.limit_state)
    returns howdah.limit_state
    language plpgsql
    immutable
as $$
declare
    -- variables of their own: assigning to an element copies the array when it lies in a row
    v_ids      constant bigint[] := i_limits.ids;
    v_used     integer[] := i_limits.used;
    v_tokens   integer[] := i_limits.tokens;
    v_full     boolean[] := array_fill(false, array[coalesce(cardinality(v_ids), 0)]);
    v_shut     boolean[] := v_full;
    v_starts   integer[] := array_fill(0, array[coalesce(cardinality(v_ids), 0)]);
    v_verdicts bigint[] := '{}';
    v_started  integer := 0;
    v_c        howdah.contender;
    v_limit    bigint;
    v_n        integer;
    v_verdict  bigint;
begin
    foreach v_c in array i_contenders loop
        exit when v_started = i_num;
        v_verdict := case when v_c.fits and not coalesce(i_limits.elsewhere[array_position(v_ids, v_c.waits_for)], false)
                          then 0 else -1 end;
        if v_verdict = 0 then
            foreach v_limit in array array[v_c.key_limit, v_c.task_limit, v_c.queue_limit] loop
                continue when v_limit is null;
                v_n := array_position(v_ids, v_limit);
                if v_n is null then         -- somebody else decides about it at this moment
                    v_verdict := v_limit;
                elsif v_used[v_n] + howdah.takes(v_c.slots, howdah.most(i_limits, v_n, v_limit = v_c.key_limit, v_c.at_most))
                      > howdah.most(i_limits, v_n, v_limit = v_c.key_limit, v_c.at_most) or v_tokens[v_n] <= 0 then
                    v_full[v_n] := true;
                    v_verdict := v_limit;
                elsif v_shut[v_n] or v_full[v_n] or v_c.place = 'ready' and i_limits.backlog[v_n]
                      -- who comes from the line of another limit passes nobody who has waited longer in this one
                      or v_limit <> v_c.waits_for and (i_limits.priorities[v_n] > v_c.priority
                         or i_limits.priorities[v_n] = v_c.priority and i_limits.positions[v_n] < v_c.pos) then
                    v_verdict := v_limit;
                end if;
                if v_verdict <> 0 then
                    if v_n is not null then
                        v_shut[v_n] := true;
                    end if;
                    v_verdict := case when v_limit = v_c.queue_limit then -1 else v_verdict end;
                    exit;
                end if;
            end loop;
        end if;
        if v_verdict = 0 then
            v_started := v_started + 1;
            foreach v_limit in array array[v_c.key_limit, v_c.task_limit, v_c.queue_limit] loop
                continue when v_limit is null;
                v_n := array_position(v_ids, v_limit);
                v_used[v_n] := v_used[v_n]
                    + howdah.takes(v_c.slots, howdah.most(i_limits, v_n, v_limit = v_c.key_limit, v_c.at_most));
                v_tokens[v_n] := v_tokens[v_n] - 1;
                v_starts[v_n] := v_starts[v_n] + 1;
            end loop;
        elsif v_verdict < 0 and v_c.waits_for = any (v_ids) then
            v_shut[array_position(v_ids, v_c.waits_for)] := true;       -- it stays the first of them
        end if;
        v_verdicts := v_verdicts || v_verdict;
    end loop;
    i_limits.used := v_used;
    i_limits.tokens := v_tokens;
    i_limits.full_up := v_full;
    i_limits.starts := v_starts;
    i_limits.verdicts := v_verdicts || array_fill(-1::bigint, array[cardinality(i_contenders) - cardinality(v_verdicts)]);
    return i_limits;
end;
$$;

comment on function howdah.judge is 'Decide which jobs may start under their limits.';
