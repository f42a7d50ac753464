-- Deciding about limits, once they are held (32_hold.sql). What becomes of the jobs: 32_judged.sql.

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
