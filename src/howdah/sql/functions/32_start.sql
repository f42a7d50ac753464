-- start: ready ─► running for jobs that howdah.candidates has locked.

-- howdah.start: starts jobs, given by the places of their rows; returns them in that order.
--
-- Fence: each run draws its number from run_seq. Locks: the rows are the caller's already.
create or replace function howdah.start(i_rows tid[], i_worker_id bigint, i_now timestamptz, i_limited howdah.limited)
    returns setof howdah.claimed
    language plpgsql
    volatile
    set enable_bitmapscan = off
    set enable_hashjoin = on        -- of what was given with what was removed: neither is a table
as $$
begin
    return query
    with removed as (
        delete from howdah.ready r where r.ctid = any (i_rows)
        returning r.ctid as row, r.id, r.attempt, r.task, r.queue, r.priority
    ), picked as materialized (
        select m.row, m.id, nextval('howdah.run_seq') as run_id, m.attempt + 1 as attempt, m.task, m.queue, m.priority,
               coalesce(j.timeout, t.timeout, 60) as timeout, coalesce(j.max_retries, t.max_retries, 3) as max_retries,
               j.key, j.headers, j.meta, j.body, coalesce(j.result_ttl, t.result_ttl) as result_ttl,
               case when i_limited.queues is not null or i_limited.tasks is not null then
                   nullif(case when m.task = any (i_limited.tasks)
                               then array[i_limited.task_limits[array_position(i_limited.tasks, m.task)], 1] else '{}' end
                       || case when howdah.queue_of(m.queue) = any (i_limited.queues)
                               then array[i_limited.queue_limits[array_position(i_limited.queues, howdah.queue_of(m.queue))], 1]
                               else '{}' end, '{}') end as held
          from removed m
          join howdah.job j on j.id = m.id
          left join howdah.task t on t.name = j.task
    ), started as (
        insert into howdah.running (id, run_id, worker_id, attempt, started_at, deadline, result_ttl, held)
        select p.id, p.run_id, i_worker_id, p.attempt, i_now, i_now + make_interval(secs => p.timeout), p.result_ttl, p.held
          from picked p
    )
    select p.id, p.run_id, p.attempt, p.task, howdah.queue_of(p.queue), p.priority, p.timeout, p.max_retries, p.key,
           p.headers, p.meta, p.body
      from picked p join unnest(i_rows) with ordinality u (row, n) on u.row = p.row
     order by u.n;
end;
$$;

comment on function howdah.start is 'Move locked jobs from ready to running.';


-- howdah.claim_controlled: ready ─► running where there is more to heed than priorities; else as howdah.claim.
create or replace function howdah.claim_controlled(
    i_num       integer,
    i_worker_id bigint,
    i_queues    text[],
    i_topic     text,
    i_tasks     text[],
    i_patterns  text[],
    i_labels    text[],
    i_discover  boolean,
    i_now       timestamptz,
    i_shares    integer[] default null
)
    returns setof howdah.claimed
    language plpgsql
    volatile
as $$
declare
    v_wanted     integer := i_num;
    v_limited    howdah.limited;
    v_taken      howdah.taken;
    v_candidates howdah.candidate[];
    v_contenders howdah.contender[];
    v_before     howdah.contender[];
begin
    perform pg_sequence_last_value('howdah.controls'::regclass);    -- tells whoever sets a limit that we are about to look
    perform howdah.live();      -- before the first number is drawn
    v_limited := howdah.limited(i_queues, i_num, i_now);
    if howdah.only_limits(i_queues, i_shares) and not howdah.some_limit_opened(i_now) then
        v_taken := howdah.take_plainly(i_num, i_queues, i_topic, i_tasks, i_patterns, i_discover, v_limited);
        if not v_taken.others and howdah.room_for_all(v_taken.limits, v_taken.counts) then
            return query select s.* from howdah.start(v_taken.rows, i_worker_id, i_now, v_limited) s;
            return;
        end if;
    end if;
    for v_try in 1..10 loop
        v_candidates := howdah.candidates(
            v_wanted, i_queues, i_topic, i_tasks, i_patterns, i_labels, i_discover, i_now, v_limited, i_shares);
        if not howdah.some_limit_opened(i_now)
           and not exists (select from unnest(v_candidates) c
                            where c.key_limit is not null or c.task = any (v_limited.tasks)
                               or c.queue = any (v_limited.queues)) then
            return query select s.* from howdah.start(
                array(select c.row from unnest(v_candidates[:i_num]) c), i_worker_id, i_now, null) s;
            return;
        end if;
        -- of the lines nobody can start more than i_num, but what may not start must not hide who may
        v_contenders := howdah.contenders(
            v_candidates, least(v_wanted, greatest(i_num, 16)), v_wanted, i_queues, i_topic, i_tasks, i_patterns, i_labels,
            v_limited, i_now);
        return query select s.* from howdah.start_limited(v_contenders, i_num, i_worker_id, i_now) s;
        -- with nothing ready, who waits may have made way for others: by going to another line, or by being no news any more
        if found or v_candidates = '{}' and (v_contenders = '{}' or v_contenders = v_before) then
            return;
        end if;
        v_before := v_contenders;
        -- All of them wait now, or their queues have less room than they need: what lies behind them comes next, more at once,
        -- for there may be very many. One at a time does so: each passes over what all others have locked.
        exit when v_wanted >= 64 and not pg_try_advisory_xact_lock(48178, 3);
        v_wanted := least(4 * v_wanted, 1000);
        v_limited := howdah.rooms_behind(v_limited, v_contenders);
    end loop;
    perform howdah.ring(null);      -- not at the end of them yet: whoever takes this for an empty system must look again
end;
$$;

comment on function howdah.claim_controlled is 'As claim, with an order of queues, shares, labels, tenants and ageing.';


-- howdah.rooms_behind: where to look after none of these jobs could start: nowhere in a limited queue of which one is
-- still ready, for it waits for that queue's room; in the others behind those that were moved.
create or replace function howdah.rooms_behind(i_limited howdah.limited, i_contenders howdah.contender[])
    returns howdah.limited
    language plpgsql
as $$
begin
    i_limited.rooms := array(
        select case when r.room = 0
                      or exists (select from unnest(i_contenders) c
                                  where c.queue = r.queue and c.place = 'ready'
                                    and exists (select from howdah.ready x where x.ctid = c.at_row))
                    then 0 else 1000 end
          from unnest(i_limited.queues, i_limited.rooms) with ordinality r (queue, room, n) order by r.n);
    return i_limited;
end;
$$;

comment on function howdah.rooms_behind is 'Where to look after nothing could start.';


-- howdah.look_controlled: as howdah.look, where there is more to heed than priorities.
create or replace function howdah.look_controlled(
    i_worker howdah.worker, i_num integer, i_discover boolean, i_now timestamptz, i_shares integer[],
    out list text, out count bigint)
    language plpgsql
as $$
begin
    select string_agg(concat(
               '[', c.id, ',', c.run_id, ',', c.attempt, ',"', c.task, '","', c.queue, '",', c.priority, ',', c.timeout, ',',
               c.max_retries, ',', coalesce(to_json(c.key)::text, 'null'), ',', coalesce(c.headers::text, 'null'), ',',
               coalesce(c.meta::text, 'null'), ',', coalesce(c.body::text, 'null'), ']'), ','),
           count(*)
      into list, count
      from howdah.claim_controlled(
               i_num, i_worker.id, i_worker.queues, howdah.topic_pattern(i_worker.topic), i_worker.tasks,
               i_worker.patterns, i_worker.labels, i_discover, i_now, i_shares) c;
end;
$$;

comment on function howdah.look_controlled is 'Claim for a worker, heeding more than priorities; the runs as JSON rows.';


-- howdah.still_uncontrolled: a claim that heeds nothing but priorities has been right to do so.
--
-- The first job of a system that requires a label may have been committed after the claim read the register. Once in a
-- system's life; the caller comes again in a moment.
create or replace function howdah.still_uncontrolled()
    returns void
    language plpgsql
as $$
begin
    if pg_sequence_last_value('howdah.controls'::regclass) > 0 then
        raise lock_not_available using message = 'tenants, labels or limits are in use from this moment on', hint = 'Try again.';
    end if;
end;
$$;

comment on function howdah.still_uncontrolled is 'Fail when claims have more to heed since a moment ago.';
