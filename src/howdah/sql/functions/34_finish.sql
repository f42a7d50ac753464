-- ack, nack, snooze, release: running ─► finished, scheduled or ready.
--
-- Fence: the run id. Without one only a plain consumer's current run may be finished.
-- Lock order everywhere: state rows by id.

-- howdah.end_run: takes the running row away from its run, or says why it may not.
create or replace function howdah.end_run(i_job_id text, i_run_id bigint)
    returns howdah.running
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_id  constant bigint := howdah.job_number(i_job_id);
    v_run howdah.running;
begin
    delete from howdah.running r
     where r.id = v_id and (r.run_id = i_run_id or (i_run_id is null and r.worker_id is null))
    returning r.* into v_run;
    if not found then
        perform howdah.job_number(i_job_id);    -- deleted while we waited for its row: JB003
        if i_run_id is null and exists (select from howdah.running r where r.id = v_id) then
            perform howdah.run_id_required(i_job_id);
        end if;
        perform howdah.lease_lost(i_job_id, i_run_id);
    end if;
    perform howdah.free(v_run.held);
    return v_run;
end;
$$;

comment on function howdah.end_run is 'Delete the running row of a run that is current; JB002, JB003 or JB006 else.';


-- howdah.finish: writes the terminal row of a run that end_run has taken away.
create or replace function howdah.finish(
    i_run    howdah.running,
    i_state  howdah.state,
    i_result jsonb,
    i_kind   text,
    i_error  text,
    i_now    timestamptz
)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_ttl double precision;
begin
    select case when i_state = 'succeeded' then coalesce(j.result_ttl, t.result_ttl)
                else coalesce(j.failure_ttl, t.failure_ttl) end into v_ttl
      from howdah.job j left join howdah.task t on t.name = j.task where j.id = i_run.id;
    insert into howdah.finished (id, state, run_id, attempt, started_at, finished_at, result, kind, error, prune_at)
    values (i_run.id, i_state, i_run.run_id, i_run.attempt, i_run.started_at, i_now, i_result, i_kind,
            howdah.one_line(i_error), howdah.prune_at(v_ttl, i_now));
    delete from howdah.notice n where n.run_id = i_run.run_id;
    if pg_sequence_last_value('howdah.dependencies'::regclass) is not null then
        perform howdah.note_ends(array[i_run.id], i_state, i_now);
    end if;
end;
$$;

comment on function howdah.finish is 'Record how a job ended.';


-- howdah.prune_at: when a finished job with its own time to keep may go; null without one.
create or replace function howdah.prune_at(i_ttl double precision, i_now timestamptz)
    returns timestamptz
    language sql
    stable parallel safe
    return case when i_ttl < 0 then 'infinity'::timestamptz else i_now + howdah.seconds(i_ttl) end;

comment on function howdah.prune_at is 'When a finished job with a ttl of its own may be pruned.';


-- howdah.cancel_wanted: whether somebody asked this run to stop; such a run is never retried.
create or replace function howdah.cancel_wanted(i_run howdah.running, i_now timestamptz)
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_reason text;
begin
    select coalesce(n.reason, 'cancelled on request') into v_reason
      from howdah.notice n where n.run_id = i_run.run_id and n.verdict = 'cancel';
    if not found then
        return false;
    end if;
    perform howdah.finish(i_run, 'cancelled', null, 'revoked', v_reason, i_now);
    return true;
end;
$$;

comment on function howdah.cancel_wanted is 'End a run as cancelled when that was asked for.';


-- howdah.make_ready: a job's row in ready, at a new position: nothing re-enters behind a floor.
create or replace function howdah.make_ready(i_id bigint, i_attempt integer)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue text;
    v_task  text;
begin
    insert into howdah.ready (queue, priority, pos, id, attempt, task, key_limit, asks)
    select howdah.lane_of(coalesce(j.queue, t.queue), j.tenant, coalesce(j.requires, t.requires)),
           coalesce(j.priority, t.priority, 0),
           nextval('howdah.position_seq'), j.id, i_attempt, j.task, howdah.limit_id('key', j.concurrency_key),
           howdah.asks(j.slots, j.concurrency_limit)
      from howdah.job j left join howdah.task t on t.name = j.task
     where j.id = i_id
    returning queue, task into v_queue, v_task;
    perform howdah.ring(array[v_queue], array[v_task]);
end;
$$;

comment on function howdah.make_ready is 'Put a job into ready at the end of its lane.';


-- howdah.make_scheduled: a job's row in scheduled.
create or replace function howdah.make_scheduled(i_id bigint, i_attempt integer, i_run_at timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    insert into howdah.scheduled (id, run_at, attempt) values (i_id, i_run_at, i_attempt);
    -- whoever sleeps looks every 5 s at least, so that only what is due earlier needs the bell
    if i_run_at < howdah.now() + interval '5 s' then
        perform howdah.be_in_flight();
        perform howdah.ring(null);
    end if;
end;
$$;

comment on function howdah.make_scheduled is 'Put a job into scheduled.';


-- howdah.fail: a run taken away by end_run ─► scheduled for a retry, or finished as failed.
--
-- i_run_at: when to try again; null: by the job's backoff.
create or replace function howdah.fail(
    i_run       howdah.running,
    i_kind      text,
    i_error     text,
    i_traceback text,
    i_run_at    timestamptz,
    i_final     boolean,
    i_now       timestamptz
)
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_error   constant text := coalesce(nullif(howdah.one_line(i_error), ''), nullif(howdah.last_line(i_traceback), ''), i_kind);
    v_retries integer;
    v_backoff double precision[];
begin
    insert into howdah.failure (job_id, attempt, run_id, at, kind, error, traceback)
    values (i_run.id, i_run.attempt, i_run.run_id, i_now, i_kind, v_error, left(i_traceback,
            case when octet_length(left(i_traceback, 65536)) <= 65536 then 65536 else 16384 end));     -- bytes, not characters
    if howdah.cancel_wanted(i_run, i_now) then
        return 'cancelled';
    end if;
    select coalesce(j.max_retries, t.max_retries, 3), coalesce(j.backoff, t.backoff) into v_retries, v_backoff
      from howdah.job j left join howdah.task t on t.name = j.task where j.id = i_run.id;
    if i_final or i_run.attempt > v_retries then
        perform howdah.finish(i_run, 'failed', null, i_kind, v_error, i_now);
        return 'failed';
    end if;
    -- not greatest(i_run_at, i_now): that passes over null, which means "by the backoff"
    perform howdah.make_scheduled(i_run.id, i_run.attempt, case when i_run_at is not null then greatest(i_run_at, i_now)
        else i_now + howdah.seconds(howdah.retry_delay(i_run.attempt, v_backoff)) end);
    return 'scheduled';
end;
$$;

comment on function howdah.fail is 'Record a failed attempt; retry it or end the job.';


-- howdah.last_line: the last line of a traceback, which is its message.
create or replace function howdah.last_line(i_traceback text)
    returns text
    language sql
    immutable strict parallel safe
    return howdah.one_line(split_part(rtrim(i_traceback, E' \t\r\n'), E'\n', -1));

comment on function howdah.last_line is 'Last line of a traceback.';


-- jobs.ack: running ─► succeeded.
create or replace function jobs.ack(i_job_id text, i_result jsonb default null, i_run_id bigint default null)
    returns jobs.changed
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_run howdah.running;
begin
    perform howdah.check_json('result', i_result, 1048576);
    v_run := howdah.end_run(i_job_id, i_run_id);
    perform howdah.finish(v_run, 'succeeded', i_result, null, null, howdah.now());
    return howdah.changed(v_run.id, 'succeeded');
end;
$$;

comment on function jobs.ack is $$Finish a job well.

A plain consumer may leave out i_run_id: then its current run is meant. Raises JB002 when the run is not current, JB003
for an unknown job, JB006 when a registered worker runs it.$$;


-- jobs.nack: running ─► scheduled for a retry, or failed.
create or replace function jobs.nack(
    i_job_id       text,
    i_traceback    text default null,
    i_scheduled_at timestamptz default null,
    i_run_id       bigint default null,
    i_kind         text default 'error',
    i_error        text default null,
    i_delay        numeric default null,
    i_final        boolean default false
)
    returns jobs.changed
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := howdah.now();
    v_run howdah.running;
begin
    perform howdah.check_name('kind', i_kind);
    if i_kind = 'crash' then
        perform howdah.refuse('kind', 'is crash, which only the engine finds out', 'Give error, timeout or a word of your own.');
    end if;
    perform howdah.check_number('delay', i_delay, 0, 3155760000);
    if i_scheduled_at = '-infinity' then
        perform howdah.refuse('scheduled_at', 'is infinity', 'Give a moment that will come.');
    end if;
    perform howdah.check_moment('scheduled_at', i_scheduled_at);
    v_run := howdah.end_run(i_job_id, i_run_id);
    return howdah.changed(v_run.id, howdah.fail(v_run, i_kind, i_error, i_traceback,
        coalesce(case when i_scheduled_at < 'epoch' then 'epoch' else i_scheduled_at end, v_now + howdah.seconds(i_delay::double precision)), coalesce(i_final, false), v_now));
end;
$$;

comment on function jobs.nack is $$Finish an attempt badly.

While retries are left the job is scheduled again: at i_scheduled_at, after i_delay seconds, or by its backoff (3 s doubling
with jitter). Then, or with i_final, it is failed. Raises like ack.$$;


-- jobs.snooze: running ─► scheduled, without costing an attempt.
create or replace function jobs.snooze(i_job_id text, i_delay numeric, i_run_id bigint default null)
    returns jobs.changed
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := howdah.now();
    v_run howdah.running;
begin
    if i_delay is null then
        perform howdah.refuse('delay', 'is missing', 'Give the seconds to wait.');
    end if;
    perform howdah.check_number('delay', i_delay, 0, 3155760000);
    v_run := howdah.end_run(i_job_id, i_run_id);
    if howdah.cancel_wanted(v_run, v_now) then
        return howdah.changed(v_run.id, 'cancelled');
    end if;
    perform howdah.make_scheduled(v_run.id, v_run.attempt - 1, v_now + howdah.seconds(i_delay::double precision));
    return howdah.changed(v_run.id, 'scheduled');
end;
$$;

comment on function jobs.snooze is 'Put a running job off by seconds without costing an attempt. Raises like ack.';


-- jobs.release: running ─► ready, without costing an attempt.
create or replace function jobs.release(i_job_id text, i_run_id bigint default null)
    returns jobs.changed
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_run howdah.running;
begin
    v_run := howdah.end_run(i_job_id, i_run_id);
    if howdah.cancel_wanted(v_run, howdah.now()) then
        return howdah.changed(v_run.id, 'cancelled');
    end if;
    perform howdah.make_ready(v_run.id, v_run.attempt - 1);
    return howdah.changed(v_run.id, 'ready');
end;
$$;

comment on function jobs.release is 'Hand a running job back unfinished without costing an attempt. Raises like ack.';
