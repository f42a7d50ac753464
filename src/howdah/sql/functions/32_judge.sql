-- Deciding about limits: hold them, and judge. See functions/32_limited.sql; what becomes of the jobs: 32_judged.sql.

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


-- howdah.asked: what each of these jobs asks of each of its limits (k: 1 its key's, 2 its task's, 3 its queue's). `place`: of the
-- limit among those held; null: somebody else holds it. `most`: its slots; null: no end of them. What is set for a key counts,
-- else its job's word: who sets only a rate has said nothing about slots. `takes`: the job's slots, all of the limit's rather than wait for more than there are; but one where
-- there is none. `unhindered`: nothing waits for the limit that this job must not pass.
create or replace function howdah.asked(i_contenders howdah.contender[], i_limits howdah.limit_state)
    returns table (n bigint, k integer, limit_id bigint, place bigint, takes integer, most integer, unhindered boolean)
    language plpgsql
    immutable
    set enable_hashjoin = on        -- of what is held with what contends: neither is a table
as $$
#variable_conflict use_column
begin
    return query
    with held as materialized (
        select h.* from unnest(i_limits.ids, i_limits.max_running, i_limits.by_hand, i_limits.backlog) with ordinality
                     h (id, max_running, by_hand, backlog, place)
    )
    select c.n, x.k, x.limit_id, h.place, howdah.takes(c.slots, m.most), m.most, c.place = 'ready' and not h.backlog
      from unnest(i_contenders) with ordinality c (
               place, at_row, id, pos, attempt, task, queue, lane, priority, key_limit, task_limit, queue_limit, waits_for, fits,
               slots, at_most, n)
     cross join lateral (values (1, c.key_limit), (2, c.task_limit), (3, c.queue_limit)) x (k, limit_id)
      left join held h on h.id = x.limit_id
     cross join lateral (
            select case when x.k = 1 and (not h.by_hand or h.max_running is null) then coalesce(c.at_most, 1)
                        else h.max_running end as most) m
     where x.limit_id is not null;
end;
$$;

comment on function howdah.asked is 'What jobs ask of their limits.';


-- howdah.takes: how many slots a job takes of a limit that has so many.
create or replace function howdah.takes(i_slots integer, i_most integer)
    returns integer
    language sql
    immutable
    return greatest(1, least(i_slots, i_most));

comment on function howdah.takes is 'Slots that a job takes of a limit.';


-- howdah.start_clear: lets those jobs start whose limits have room for all that ask for them; the others are doubtful.
create or replace function howdah.start_clear(
    i_contenders howdah.contender[], i_limits howdah.limit_state,
    out doubtful bigint[], out used integer[], out tokens integer[], out starts integer[])
    language plpgsql
    immutable
    set enable_hashjoin = on        -- of what is held with what contends: neither is a table
as $$
#variable_conflict use_column
begin
    with asked as materialized (
        select a.* from howdah.asked(i_contenders, i_limits) a
    ), held as materialized (
        select h.* from unnest(i_limits.ids, i_limits.used, i_limits.tokens) with ordinality h (id, used, tokens, place)
    ), short as materialized (
        select d.limit_id
          from (select a.limit_id, a.place, sum(a.takes) as takes, count(*) as starts, min(a.most) as most,
                       bool_and(coalesce(a.unhindered, false)) as unhindered
                  from asked a group by a.limit_id, a.place) d
          left join held h on h.place = d.place
         where not d.unhindered or h.used + d.takes > d.most or h.tokens < d.starts
    ), unclear as materialized (
        select a.n from asked a join short s on s.limit_id = a.limit_id
        union
        select c.n from unnest(i_contenders) with ordinality c (
                   place, at_row, id, pos, attempt, task, queue, lane, priority, key_limit, task_limit, queue_limit, waits_for,
                   fits, slots, at_most, n)
         where c.place = 'blocked' or not c.fits
    ), charge as materialized (
        select a.place, sum(a.takes)::integer as takes, count(*)::integer as starts
          from asked a left join unclear u on u.n = a.n where u.n is null group by a.place
    )
    select array(select u.n from unclear u),
           array_agg(h.used + coalesce(c.takes, 0) order by h.place),
           array_agg(h.tokens - coalesce(c.starts, 0) order by h.place), array_agg(coalesce(c.starts, 0) order by h.place)
      into doubtful, used, tokens, starts
      from held h left join charge c on c.place = h.place;
end;
$$;

comment on function howdah.start_clear is 'Let jobs start whose limits have room for all.';


-- howdah.doubtful: the jobs that have to be looked at one by one, in their order, each with what it asks of its limits.
create or replace function howdah.doubtful(
    i_contenders howdah.contender[], i_limits howdah.limit_state, i_doubtful bigint[])
    returns table (n bigint, ready boolean, fits boolean, priority smallint, pos bigint, waits_for bigint, waits_at bigint,
                   limits bigint[], places bigint[], takes integer[], most integer[], of_queue bigint)
    language plpgsql
    immutable
    set enable_hashjoin = on        -- of what is held with what contends: neither is a table
as $$
#variable_conflict use_column
begin
    return query
    select c.n, c.place = 'ready', c.fits, c.priority, c.pos, c.waits_for, h.place,
           coalesce(array_agg(a.limit_id order by a.k) filter (where a.n is not null), '{}'),
           coalesce(array_agg(a.place order by a.k) filter (where a.n is not null), '{}'),
           array_agg(a.takes order by a.k), array_agg(a.most order by a.k), c.queue_limit
      from unnest(i_contenders) with ordinality c (
               place, at_row, id, pos, attempt, task, queue, lane, priority, key_limit, task_limit, queue_limit, waits_for, fits,
               slots, at_most, n)
      join unnest(i_doubtful) d (n) on d.n = c.n
      left join unnest(i_limits.ids) with ordinality h (id, place) on h.id = c.waits_for
      left join howdah.asked(i_contenders, i_limits) a on a.n = c.n
     group by c.n, c.place, c.fits, c.priority, c.pos, c.waits_for, h.place, c.queue_limit
     order by c.n;
end;
$$;

comment on function howdah.doubtful is 'Jobs to be looked at one by one.';


-- howdah.judge: which of these jobs may start, in their order, i_num of them at most. A pure decision.
--
-- A verdict: 0 start; -1 stay, as all do once i_num may start; else the number of the limit to wait for. Once a job has to
-- wait for a limit, those behind it wait too, however little they need: nobody is overtaken. The same for a job that comes
-- while others wait already. Where a limit has room for all that ask for it, nobody needs to be looked at one by one.
create or replace function howdah.judge(i_contenders howdah.contender[], i_num integer, i_limits howdah.limit_state)
    returns howdah.limit_state
    language plpgsql
    immutable
as $$
declare
    -- variables of their own: assigning to an element copies the array when it lies in a row
    v_used      integer[] := i_limits.used;
    v_tokens    integer[] := i_limits.tokens;
    v_starts    integer[] := array_fill(0, array[coalesce(cardinality(i_limits.ids), 0)]);
    v_full      boolean[] := array_fill(false, array[coalesce(cardinality(i_limits.ids), 0)]);
    v_shut      boolean[] := v_full;
    v_backlog   constant boolean[] := i_limits.backlog;
    v_elsewhere constant boolean[] := i_limits.elsewhere;
    v_priorities constant smallint[] := i_limits.priorities;
    v_positions constant bigint[] := i_limits.positions;
    v_many      constant integer := cardinality(i_contenders);
    v_verdicts  bigint[] := array_fill(case when v_many > i_num then -1 else 0 end::bigint, array[v_many]);
    v_doubtful  bigint[] := array(select n from generate_series(1, v_many) n where v_many > i_num);
    v_begun     integer := 0;
    v_job       record;
    v_verdict   bigint;
    v_at        bigint;
begin
    if v_many <= i_num then
        select c.doubtful, c.used, c.tokens, c.starts into v_doubtful, v_used, v_tokens, v_starts
          from howdah.start_clear(i_contenders, i_limits) c;
    end if;
    for v_job in select d.* from howdah.doubtful(i_contenders, i_limits, v_doubtful) d where v_doubtful <> '{}' loop
        exit when v_begun = i_num;
        v_verdict := case when v_job.fits and not coalesce(v_elsewhere[v_job.waits_at], false) then 0 else -1 end;
        for v_k in 1..cardinality(v_job.limits) loop
            exit when v_verdict <> 0;
            v_at := v_job.places[v_k];
            if v_at is null then         -- somebody else decides about it at this moment
                v_verdict := v_job.limits[v_k];
            elsif v_used[v_at] + v_job.takes[v_k] > v_job.most[v_k] or v_tokens[v_at] <= 0 then
                v_full[v_at] := true;
                v_verdict := v_job.limits[v_k];
            elsif v_shut[v_at] or v_full[v_at] or v_job.ready and v_backlog[v_at]
                  -- who comes from the line of another limit passes nobody who has waited longer in this one
                  or v_job.limits[v_k] <> v_job.waits_for and (v_priorities[v_at] > v_job.priority
                     or v_priorities[v_at] = v_job.priority and v_positions[v_at] < v_job.pos) then
                v_verdict := v_job.limits[v_k];
            end if;
            if v_verdict <> 0 then
                if v_at is not null then
                    v_shut[v_at] := true;
                end if;
                v_verdict := case when v_verdict = v_job.of_queue then -1 else v_verdict end;
            end if;
        end loop;
        if v_verdict = 0 then
            v_begun := v_begun + 1;
            for v_k in 1..cardinality(v_job.places) loop
                v_at := v_job.places[v_k];
                v_used[v_at] := v_used[v_at] + v_job.takes[v_k];
                v_tokens[v_at] := v_tokens[v_at] - 1;
                v_starts[v_at] := v_starts[v_at] + 1;
            end loop;
        elsif v_verdict < 0 and v_job.waits_at is not null then
            v_shut[v_job.waits_at] := true;       -- it stays the first of them
        end if;
        v_verdicts[v_job.n] := v_verdict;
    end loop;
    i_limits.used := v_used;
    i_limits.tokens := v_tokens;
    i_limits.full_up := v_full;
    i_limits.starts := v_starts;
    i_limits.verdicts := v_verdicts;
    return i_limits;
end;
$$;

comment on function howdah.judge is 'Decide which jobs may start under their limits.';
