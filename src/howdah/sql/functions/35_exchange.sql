-- exchange: a worker hands in finished runs and gets the next ones, in one round trip and one transaction.

-- howdah.storable: whether a result is at most 1 MiB of JSON text; small ones are not turned into text to see that.
create or replace function howdah.storable(i_result jsonb)
    returns boolean
    language sql
    stable parallel safe     -- not immutable: pg_column_size is not, and then the planner would not inline it
    return i_result is null or pg_column_size(i_result) <= 100000 or octet_length(i_result::text) <= 1048576;

comment on function howdah.storable is 'Whether a result is within its limit.';


-- howdah.accept_successes: running ─► succeeded for many runs.
--
-- Fence: run id. Locks: running rows in id order, SKIP LOCKED: one locked row never stalls the batch.
-- Returns the run ids taken. Hash joins are on again for the one join, of what was given with what was removed: neither
-- is a table. The locked rows are deleted by one array of their places, which costs half of a join by place.
create or replace function howdah.accept_successes(i_outcomes jsonb, i_now timestamptz)
    returns bigint[]
    language plpgsql
    set enable_hashjoin = on
as $$
declare
    v_taken bigint[];
begin
    with given as materialized (
        select distinct on (1, 2)
               (e ->> 0)::bigint as id, (e ->> 1)::bigint as run_id, nullif(e -> 3, 'null'::jsonb) as result
          from jsonb_array_elements(i_outcomes) e
         where e ->> 2 = 'succeeded' and howdah.storable(e -> 3)
         order by 1, 2
    ), locked as materialized (
        select array(select x.row
                       from given g
                      cross join lateral (
                            select r.ctid as row from howdah.running r
                             where r.id = g.id and r.run_id = g.run_id
                               for update skip locked) x) as rows
    ), removed as (
        delete from howdah.running r where r.ctid = any ((select l.rows from locked l)::tid[])
        returning r.id, r.run_id, r.attempt, r.started_at, r.result_ttl, r.held
    ), recorded as (
        insert into howdah.finished (id, state, run_id, attempt, started_at, finished_at, result, prune_at)
        select m.id, 'succeeded', m.run_id, m.attempt, m.started_at, i_now, g.result,
               howdah.prune_at(m.result_ttl, i_now)
          from removed m join given g on g.run_id = m.run_id and g.id = m.id
    ), freed as (
        insert into howdah.freed (limit_id, slots)
        select m.held[n], sum(m.held[n + 1]) from removed m cross join lateral generate_series(1, cardinality(m.held), 2) n
         where m.held is not null group by 1
    )
    select array_agg(m.run_id) into v_taken from removed m;
    if exists (select from howdah.notice) then
        delete from howdah.notice n where n.run_id = any (v_taken);
    end if;
    return coalesce(v_taken, '{}');
end;
$$;

comment on function howdah.accept_successes is 'Record the successes of a batch; answers the runs taken.';


-- howdah.accept_other: one outcome that is not a success, or one whose result is too large; the running row is locked by the caller.
create or replace function howdah.accept_other(i_outcome jsonb, i_run howdah.running, i_now timestamptz)
    returns void
    language plpgsql
as $$
declare
    v_verb constant text := i_outcome ->> 2;
begin
    delete from howdah.running r where r.id = i_run.id;
    perform howdah.free(i_run.held);
    if v_verb = 'failed' then
        if i_outcome ->> 3 = 'crash' then
            raise data_exception using message = 'kind crash is for the engine to find out';
        end if;
        perform howdah.fail(i_run, coalesce(i_outcome ->> 3, 'error'), i_outcome ->> 4, i_outcome ->> 5,
            i_now + howdah.seconds((i_outcome ->> 6)::double precision), coalesce((i_outcome ->> 7)::boolean, false), i_now);
    elsif v_verb = 'succeeded' then
        perform howdah.fail(i_run, 'result', format('the result has %s bytes, the limit is 1048576',
            octet_length((i_outcome -> 3)::text)), null, null, true, i_now);
    elsif v_verb = 'cancelled' then
        perform howdah.finish(i_run, 'cancelled', null, 'revoked', coalesce(i_outcome ->> 3,
            (select n.reason from howdah.notice n where n.run_id = i_run.run_id and n.verdict = 'cancel'),
            'cancelled by its task'), i_now);
    elsif howdah.cancel_wanted(i_run, i_now) then
        return;
    elsif v_verb = 'snoozed' then
        perform howdah.make_scheduled(i_run.id, i_run.attempt - 1,
            i_now + howdah.seconds(coalesce((i_outcome ->> 3)::double precision, 0)));
    elsif v_verb = 'released' then
        perform howdah.make_ready(i_run.id, i_run.attempt - 1);
    elsif v_verb = 'parked' then
        insert into howdah.blocked (id, kind, task, attempt, reason, blocked_at)
        select j.id, i_outcome ->> 3, j.task, i_run.attempt - 1, howdah.one_line(i_outcome ->> 4), i_now
          from howdah.job j where j.id = i_run.id;
    else
        perform howdah.refuse('outcomes', format('%L is not an outcome', v_verb),
            'Known: succeeded, failed, snoozed, released, cancelled, parked.');
    end if;
end;
$$;

comment on function howdah.accept_other is 'Record one outcome that is not a success.';


-- howdah.accept: takes in outcomes; answers what was lost and what to hand in again later.
create or replace function howdah.accept(
    i_outcomes jsonb, i_now timestamptz, out lost bigint[], out later bigint[])
    language plpgsql
as $$
declare
    v_taken   bigint[] := howdah.accept_successes(i_outcomes, i_now);
    v_outcome jsonb;
    v_run     howdah.running;
begin
    if pg_sequence_last_value('howdah.dependencies'::regclass) is not null then
        perform howdah.note_ends(array(select (e ->> 0)::bigint from jsonb_array_elements(i_outcomes) e
                                        where (e ->> 1)::bigint = any (v_taken)), 'succeeded', i_now);
        perform howdah.settle_ended(i_now, 1000);       -- this exchange may claim the children
    end if;
    if cardinality(v_taken) = jsonb_array_length(i_outcomes) then
        return;
    end if;
    for v_outcome in
        select e from jsonb_array_elements(i_outcomes) e
         where e ->> 2 is distinct from 'succeeded' or not howdah.storable(e -> 3) order by (e ->> 0)::bigint
    loop
        select r.* into v_run from howdah.running r
         where r.id = (v_outcome ->> 0)::bigint and r.run_id = (v_outcome ->> 1)::bigint
           for update skip locked;
        if found then
            perform howdah.accept_other(v_outcome, v_run, i_now);
            v_taken := v_taken || v_run.run_id;
        end if;
    end loop;
    if pg_sequence_last_value('howdah.dependencies'::regclass) is not null then
        perform howdah.settle_ended(i_now, 1000);
    end if;
    if cardinality(v_taken) < jsonb_array_length(i_outcomes) then
        if exists (select from jsonb_array_elements(i_outcomes) e where e ->> 0 is null or e ->> 1 is null) then
            raise data_exception using message = 'an outcome begins with the numbers of its job and its run';
        end if;
        -- still there but not taken: somebody held the row; gone: the lease is lost
        select array_agg(g.run_id) filter (where r.id is null), array_agg(g.run_id) filter (where r.id is not null)
          into lost, later
          from (select (e ->> 0)::bigint as id, (e ->> 1)::bigint as run_id from jsonb_array_elements(i_outcomes) e) g
          left join howdah.running r on r.id = g.id and r.run_id = g.run_id
         where g.run_id <> all (v_taken);
    end if;
end;
$$;

comment on function howdah.accept is 'Take in a batch of outcomes.';


-- howdah.time_to_discover: once a second some claim looks for new lanes itself: a tick may be held up by a transaction that
-- somebody left open around maintain.
create or replace function howdah.time_to_discover()
    returns boolean
    language plpgsql
as $$
begin
    if howdah.milliseconds() - (select s.last_value from howdah.last_discovery s) between 0 and 999 then
        return false;
    end if;
    perform setval('howdah.last_discovery', howdah.milliseconds());
    return true;
end;
$$;

comment on function howdah.time_to_discover is 'True once a second.';


-- howdah.look: claims for a worker; the runs as the JSON rows that it decodes. See howdah.look_for.
create or replace function howdah.look(
    i_worker howdah.worker, i_num integer, i_discover boolean, i_now timestamptz, i_shares integer[],
    out list text, out count bigint)
    language plpgsql
as $$
begin
    if howdah.controlled(i_worker.queues) then
        select c.list, c.count into list, count
          from howdah.look_controlled(i_worker, i_num, i_discover, i_now, i_shares) c;
        return;
    end if;
    -- built as text: names are free of quotes by rule, and a document is never parsed again
    select string_agg(concat(
               '[', c.id, ',', c.run_id, ',', c.attempt, ',"', c.task, '","', c.queue, '",', c.priority, ',', c.timeout, ',',
               c.max_retries, ',', coalesce(to_json(c.key)::text, 'null'), ',', coalesce(c.headers::text, 'null'), ',',
               coalesce(c.meta::text, 'null'), ',', coalesce(c.body::text, 'null'), ']'), ','),
           count(*)
      into list, count
      from howdah.claim(i_num, i_worker.id, i_worker.queues, howdah.topic_pattern(i_worker.topic),
                        i_worker.tasks, i_worker.patterns, i_discover, i_now) c;
    perform howdah.still_uncontrolled();
end;
$$;

comment on function howdah.look is 'Claim for a worker and return the runs as JSON rows.';


-- howdah.look_for: at most 1,000; 500 when the documents of a thousand are too much for one answer, where as many of the
-- largest size still fit.
create or replace function howdah.look_for(
    i_worker howdah.worker, i_num integer, i_discover boolean, i_now timestamptz, i_shares integer[],
    out list text, out count bigint)
    language plpgsql
as $$
begin
    if i_num > 500 then
        begin
            select l.list, l.count into list, count
              from howdah.look(i_worker, least(i_num, 1000), i_discover, i_now, i_shares) l;
            return;
        exception when program_limit_exceeded then
            null;       -- what it claimed is ready again
        end;
    end if;
    select l.list, l.count into list, count from howdah.look(i_worker, least(i_num, 500), i_discover, i_now, i_shares) l;
end;
$$;

comment on function howdah.look_for is 'Look for up to 1,000 jobs, or as many as fit into an answer.';


-- jobs.exchange: the hot path of a worker.
--
-- Fence: the worker must be registered; a shared lock on its number keeps a sweep from declaring it dead in between.
create or replace function jobs.exchange(
    i_worker_id bigint,
    i_outcomes  jsonb default null,
    i_num       integer default 0,
    i_sleep     boolean default false,
    i_soon      boolean default false,
    i_shares    integer[] default null,
    i_era       integer default null
)
    returns json
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now       constant timestamptz := howdah.now();
    v_worker    howdah.worker;
    v_runs      record;
    v_accepted  record;
    v_in_flight text[];
    v_sleeper   howdah.sleeper;
    v_rest      record;
    v_nap       double precision;
    v_alone     bigint[];
    v_found     boolean := false;
begin
    perform howdah.require_read_committed('exchange');
    v_worker := howdah.hold_worker(i_worker_id, i_era);
    select null::bigint[] as lost, null::bigint[] as later into v_accepted;
    select null::boolean as settled, null::boolean as in_front into v_rest;
    if i_outcomes is not null and i_outcomes <> '[]'::jsonb then
        begin
            select * into v_accepted from howdah.accept(i_outcomes, v_now);
        exception when data_exception or check_violation or not_null_violation then
            perform howdah.refuse('outcomes', 'cannot be read: ' || sqlerrm,
                'Give [[1, 7, "succeeded", null], …] with the numbers as the claim returned them.');
        end;
    end if;
    if coalesce(i_num, 0) <= 0 then
        perform howdah.tick(50);
        if i_sleep then     -- rung, but without a free slot
            delete from howdah.sleeper s where s.ctid = (select howdah.own_row(i_worker_id));
            perform howdah.hand_over(i_worker_id, v_worker.kind, v_now);
        end if;
        return howdah.exchange_answer(null, v_accepted.lost, v_accepted.later, null, null, null, null);
    end if;

    select s.* into v_sleeper from howdah.sleeper s where s.worker_id = i_worker_id;
    -- Somebody was woken for a job and waits for it: the tick (half a millisecond on an idle server) is for those who
    -- find nothing. Only what must not start any more is looked for first.
    if v_sleeper.state <> 'up' then
        if exists (select from howdah.expiry e where e.expires_at <= v_now) then
            perform howdah.expire(v_now, 200);
        end if;
        v_runs := howdah.look_for(v_worker, i_num, v_sleeper.state = 'behind', v_now, i_shares);
        if v_runs.count = 0 and v_sleeper.state = 'front' then      -- lanes that no tick has recorded cost a third of the look
            v_runs := howdah.look_for(v_worker, i_num, true, v_now, i_shares);
        end if;
        v_found := v_runs.count > 0;
    end if;
    if not v_found and (v_sleeper.state is distinct from 'behind' or howdah.tick_due(2000)) then     -- a thousand look often enough
        perform howdah.tick(50);
        if v_sleeper.state = 'front' and v_sleeper.holders is distinct from '{}' then   -- read before the look: see howdah.sleep
            v_in_flight := howdah.publishers_in_flight();
        end if;
        v_runs := howdah.look_for(v_worker, i_num, i_sleep or howdah.time_to_discover(), v_now, i_shares);
    end if;
    if v_runs.count > 0 then
        perform howdah.got_work(i_worker_id, v_worker.kind, v_sleeper.state,
            v_runs.count >= least(i_num, 1000) and not coalesce(i_soon, false), v_now);
        if pg_sequence_last_value('howdah.suspects'::regclass) > 0 then
            v_alone := array(select r.run_id from howdah.suspect s join howdah.running r on r.id = s.id
                              where r.worker_id = i_worker_id);
        end if;
    elsif i_sleep then
        v_rest := howdah.sleep(i_worker_id, v_worker.kind, v_sleeper, v_in_flight, v_now);
        v_nap := case when not v_rest.in_front then howdah.nap(v_worker.kind) end;
    elsif coalesce(v_sleeper.state, 'up') = 'up' then
        perform howdah.stay_up(i_worker_id, v_worker.kind, v_sleeper.state, v_now);
    end if;
    return howdah.exchange_answer(v_runs.list, v_accepted.lost, v_accepted.later, v_rest.settled, v_alone, v_nap,
        case when v_runs.count = 0 then extract(epoch from least(howdah.first_due(v_now), howdah.first_opening(v_now)) - v_now)::double precision end);
end;
$$;

comment on function jobs.exchange is $$Hand in outcomes and claim up to i_num jobs for a registered worker.

Answers {"jobs": […], "lost": […], "later": […], "settled": …, "next": …}; "nap", if
there, is for a worker that others wake: seconds until its next look. With i_sleep and i_num 0 it was rung but has no free slot,
and others are woken in its place. i_soon promises that it looks again within milliseconds, or says so if it cannot. i_shares: so many jobs of each of the worker's queues, mixed. i_era: see reconcile. "alone", if there, names runs whose workers have
died so often that each must have a process of its own. Raises JB007 when the worker is not registered
(any more), 55P03 when it came too late, JB005 above READ COMMITTED, JB001 for an outcome that cannot be read (then nothing of the call counts).$$;


-- howdah.exchange_answer: the document that exchange returns.
create or replace function howdah.exchange_answer(
    i_list text, i_lost bigint[], i_later bigint[], i_settled boolean, i_alone bigint[],
    i_nap double precision, i_next double precision)
    returns json
    language sql
    stable
    return concat('{"jobs":[', i_list, '],"lost":', coalesce(array_to_json(i_lost)::text, '[]'),
        ',"later":', coalesce(array_to_json(i_later)::text, '[]'),
        ',"asleep":', (i_settled is not null)::text,
        ',"settled":', coalesce(i_settled::text, 'null'),
        ',"alone":' || array_to_json(i_alone)::text,
        ',"life":' || pg_sequence_last_value('howdah.life'::regclass)::text,
        ',"nap":' || i_nap::text,
        ',"next":', coalesce(case when i_next < 0 then 0 else i_next end::text, 'null'), '}')::json;

comment on function howdah.exchange_answer is 'Answer of exchange.';


-- jobs.reconcile: a live worker's runs that it does not hold ─► ready.
--
-- For a worker that does not know whether an exchange happened, because the answer never came. That exchange may be under way
-- still, without anybody to answer: what it claims would be nobody's. So it is refused until all of the worker's have ended;
-- one that has not even reached us is refused when it does, if it says of which era it is; so is a reconciliation that comes
-- after a later one: what it says is held is out of date.
-- Locks: the worker's exchanges; its runs in id order, SKIP LOCKED: somebody may write to the log of one in a long transaction.
create or replace function jobs.reconcile(
    i_worker_id bigint, i_held bigint[], i_era integer default null, out given_back bigint, out locked bigint)
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := howdah.now();
    v_run howdah.running;
begin
    perform howdah.require_read_committed('reconcile');
    perform howdah.hold_worker_alone(i_worker_id);
    update howdah.worker w set era = i_era where w.id = i_worker_id and w.era < i_era;
    if not found and i_era is not null then
        raise lock_not_available using message = format('worker %s was reconciled after this was asked for', i_worker_id),
            hint = 'Try again, with the next era.';
    end if;
    given_back := 0;
    for v_run in
        select r.* from howdah.running r
         where r.worker_id = i_worker_id and r.run_id <> all (coalesce(i_held, '{}')) order by r.id for update skip locked
    loop
        delete from howdah.running r where r.id = v_run.id;
        perform howdah.free(v_run.held);
        if not howdah.cancel_wanted(v_run, v_now) then
            perform howdah.make_ready(v_run.id, v_run.attempt - 1);
        end if;
        given_back := given_back + 1;
    end loop;
    select count(*) into locked
      from howdah.running r where r.worker_id = i_worker_id and r.run_id <> all (coalesce(i_held, '{}'));
end;
$$;

comment on function jobs.reconcile is $$Hand back a worker's runs other than those it holds: so many were given back, so
many others hold locked at this moment: those are for the next reconciliation.

For a worker whose connection broke before an answer came. From now on exchanges that say that they are of an era before
i_era are refused: nobody waits for their answers. Raises JB007, and 55P03 while an exchange of the worker is under way
or when i_era is not a later one.$$;
