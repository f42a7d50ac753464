-- After deciding about limits: start, or have wait, and write down what the limits have left. See functions/32_limited.sql.

-- howdah.start_judged: ready or blocked (kind limit) ─► running for the jobs judged to start. What was removed is put in.
create or replace function howdah.start_judged(
    i_contenders howdah.contender[], i_limits howdah.limit_state, i_worker_id bigint, i_now timestamptz)
    returns setof howdah.claimed
    language plpgsql
    set enable_hashjoin = on        -- of what was judged with what was removed: neither is a table
as $$
begin
    return query
    with chosen as materialized (
        select c.*
          from unnest(i_contenders, i_limits.verdicts) with ordinality c (
                   place, at_row, id, pos, attempt, task, queue, lane, priority, key_limit, task_limit, queue_limit, waits_for, fits,
                   slots, at_most, verdict, n)
         where c.verdict = 0
    ), asked as materialized (      -- read only for jobs of several slots
        select a.* from howdah.asked(i_contenders, i_limits) a
    ), from_ready as (
        delete from howdah.ready r
         where r.ctid = any ((select array_agg(c.at_row) from chosen c where c.place = 'ready')::tid[])
        returning r.id
    ), from_blocked as (
        delete from howdah.blocked b
         where b.ctid = any ((select array_agg(c.at_row) from chosen c where c.place = 'blocked')::tid[])
        returning b.id
    ), removed as (
        select r.id from from_ready r union all select b.id from from_blocked b
    ), picked as materialized (
        select c.n, c.id, nextval('howdah.run_seq') as run_id, c.attempt + 1 as attempt, c.task, c.queue, c.priority,
               coalesce(j.timeout, t.timeout, 60) as timeout, coalesce(j.max_retries, t.max_retries, 3) as max_retries,
               j.key, j.headers, j.meta, j.body, coalesce(j.result_ttl, t.result_ttl) as result_ttl,
               case when c.slots > 1 then (select array_agg(p.part order by a.k, p.part_of) from asked a
                                            cross join lateral (values (1, a.limit_id), (2, a.takes)) p (part_of, part)
                                            where a.n = c.n)
                    else nullif(case when c.key_limit is not null then array[c.key_limit, 1] else '{}' end
                                || case when c.task_limit is not null then array[c.task_limit, 1] else '{}' end
                                || case when c.queue_limit is not null then array[c.queue_limit, 1] else '{}' end, '{}') end
               as held
          from chosen c
          join removed m on m.id = c.id
          join howdah.job j on j.id = c.id
          left join howdah.task t on t.name = j.task
    ), started as (
        insert into howdah.running (id, run_id, worker_id, attempt, started_at, deadline, result_ttl, held)
        select p.id, p.run_id, i_worker_id, p.attempt, i_now, i_now + make_interval(secs => p.timeout), p.result_ttl, p.held
          from picked p
    )
    select p.id, p.run_id, p.attempt, p.task, p.queue, p.priority, p.timeout, p.max_retries, p.key, p.headers, p.meta,
           p.body
      from picked p
     order by p.n;
end;
$$;

comment on function howdah.start_judged is 'Start the jobs that may start.';


-- howdah.settle_limits: ready ─► blocked (kind limit) for the jobs judged to wait; writes down what the limits have left.
--
-- A zero in howdah.freed for a limit that has room for the first of those that wait for it, and for one that somebody else
-- decides about: else that job would wait for an end that was, or for none.
create or replace function howdah.settle_limits(
    i_contenders howdah.contender[], i_limits howdah.limit_state, i_now timestamptz)
    returns void
    language plpgsql
as $$
declare
    v_waiting constant bigint[] := array(select distinct v from unnest(i_limits.verdicts) v where v > 0);
begin
    if v_waiting <> '{}' then
        perform howdah.make_wait(i_contenders, i_limits, i_now);
    end if;
    if i_limits.ids is null then
        return;
    end if;
    if exists (select from unnest(i_limits.tokens, i_limits.opens_at) u (tokens, opens_at)
                where u.tokens is not null or u.opens_at is not null) then
        i_limits.opens_at := howdah.note_starts(i_limits, i_now);
    end if;
    update howdah.limits l set used = u.used, opens_at = u.opens_at
      from (select h.* from unnest(i_limits.ids, i_limits.before, i_limits.used, i_limits.by_hand, i_limits.opens_at)
                            h (id, before, used, by_hand, opens_at)
             where h.before <> h.used or h.by_hand) u
     where l.id = u.id and (u.before <> u.used or l.opens_at is distinct from u.opens_at);
    if v_waiting <> '{}' or true = any (i_limits.backlog) then
        insert into howdah.freed (limit_id, slots)
        select u.id, 0
          from unnest(i_limits.ids, i_limits.full_up, i_limits.backlog, i_limits.used, i_limits.max_running, i_limits.by_hand)
                      u (id, full_up, backlog, used, max_running, by_hand)
         cross join lateral (
               select b.id from howdah.blocked b where b.kind = 'limit' and b.limit_id = u.id
                order by b.limit_id, b.priority desc, b.pos limit 1) first
          join howdah.job j on j.id = first.id
         cross join lateral (
               select case when u.by_hand and u.max_running is not null then u.max_running
                           when howdah.limit_id('key', j.concurrency_key) = u.id then coalesce(j.concurrency_limit, 1) end as most) m
         where not u.full_up and (u.backlog or u.id = any (v_waiting))
           and coalesce(u.used + howdah.takes(coalesce(j.slots, 1), m.most) <= m.most, true);
    end if;
end;
$$;

comment on function howdah.settle_limits is 'Write down what became of limits.';


-- howdah.make_wait: ready ─► blocked (kind limit), and from one limit to another.
create or replace function howdah.make_wait(i_contenders howdah.contender[], i_limits howdah.limit_state, i_now timestamptz)
    returns void
    language plpgsql
    set enable_hashjoin = on        -- of what was judged with what was removed: neither is a table
as $$
begin
    with waiting as materialized (
        select c.*
          from unnest(i_contenders, i_limits.verdicts) with ordinality c (
                   place, at_row, id, pos, attempt, task, queue, lane, priority, key_limit, task_limit, queue_limit, waits_for, fits, slots,
                   at_most, verdict, n)
         where c.verdict > 0
    ), removed as (
        delete from howdah.ready r
         where r.ctid = any ((select array_agg(w.at_row) from waiting w where w.place = 'ready')::tid[])
        returning r.id
    ), moved as (
        update howdah.blocked b set limit_id = w.verdict from waiting w
         where w.place = 'blocked' and b.ctid = w.at_row and w.waits_for <> w.verdict
    ), undecided as (
        insert into howdah.freed (limit_id, slots)
        select distinct w.verdict, 0 from waiting w where w.verdict <> all (coalesce(i_limits.ids, '{}'))
    ), judged_first as (
        select distinct on (w.verdict) w.verdict, w.priority, w.pos from waiting w order by w.verdict, w.n
    ), new_first as (       -- found its limit full because of one that stands behind it now
        insert into howdah.freed (limit_id, slots)
        select distinct w.verdict, 0
          from waiting w
          join judged_first f on f.verdict = w.verdict
          join unnest(i_limits.ids, i_limits.priorities, i_limits.positions) u (id, priority, pos) on u.id = w.verdict
         where w.place = 'ready'
           and (w.priority > f.priority or w.priority = f.priority and w.pos < f.pos
                or w.priority > u.priority or w.priority = u.priority and w.pos < u.pos)
    )
    insert into howdah.blocked (id, kind, task, attempt, blocked_at, limit_id, queue, lane, priority, pos)
    select w.id, 'limit', w.task, w.attempt, i_now, w.verdict, w.queue, w.lane, w.priority, w.pos
      from waiting w join removed r on r.id = w.id;
end;
$$;

comment on function howdah.make_wait is 'Have jobs wait for their limits.';


-- howdah.note_starts: remembers what started under a rate; answers when each limit opens again, null for one that is open.
create or replace function howdah.note_starts(i_limits howdah.limit_state, i_now timestamptz)
    returns timestamptz[]
    language plpgsql
as $$
declare
    v_rated constant bigint[] := array(
        select l.id from howdah.limits l where l.id = any (i_limits.ids) and l.rate is not null);
begin
    insert into howdah.start (limit_id, at, starts)
    select u.id, i_now, u.starts from unnest(i_limits.ids, i_limits.starts) u (id, starts)
     where u.id = any (v_rated) and u.starts > 0;
    -- a minute longer than they count: a decision may be made at a moment read before that of the last one
    delete from howdah.start s using howdah.limits l
     where s.limit_id = any (v_rated) and l.id = s.limit_id
       and s.at < i_now - make_interval(secs => l.per) - interval '1 min';
    return array(
        select case when u.tokens > 0 then null
                    when l.rate is null or l.adopted_at is null then case when u.tokens is not null then i_now end
                    -- the oldest start that counts still counts at the end of its interval
                    else (select min(s.at) from howdah.start s where s.limit_id = l.id
                             and s.at >= i_now - make_interval(secs => l.per))
                         + make_interval(secs => l.per) + interval '1 microsecond' end
          from unnest(i_limits.ids, i_limits.tokens) with ordinality u (id, tokens, n) join howdah.limits l on l.id = u.id
         order by u.n);
end;
$$;

comment on function howdah.note_starts is 'Remember starts under a rate.';
