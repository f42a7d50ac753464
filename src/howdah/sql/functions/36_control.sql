-- cancel, retry, delete: what people do to jobs.
--
-- A move that does not know the state is one statement over all state tables, hence one snapshot: looking table after
-- table misses jobs that move meanwhile. On nothing found it looks into finished, then tries again.
-- Locks: the job's state row.

-- howdah.take_waiting: scheduled, blocked or ready ─► nowhere; the caller writes where to. Null when it lies in none.
--
-- Who leaves the line of a limit may have been its first, which those behind it could not pass: they are looked at again.
create or replace function howdah.take_waiting(i_id bigint)
    returns integer
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_attempt integer;
    v_limit   bigint;
begin
    with from_scheduled as (
        delete from howdah.scheduled s where s.id = i_id returning s.attempt
    ), from_blocked as (
        delete from howdah.blocked b where b.id = i_id returning b.attempt, b.limit_id
    ), from_ready as (
        delete from howdah.ready r using howdah.job j
         where j.id = i_id and r.queue = howdah.lane_of(j.queue, j.tenant, j.requires) and r.priority = coalesce(j.priority, 0)
           and r.pos = j.id and r.id = j.id
        returning r.attempt
    ), from_moved as (
        delete from howdah.ready r where r.id = i_id and r.pos <> r.id returning r.attempt
    )
    select x.attempt, x.limit_id into v_attempt, v_limit
      from (select attempt, null::bigint as limit_id from from_scheduled union all select attempt, limit_id from from_blocked
            union all select attempt, null from from_ready union all select attempt, null from from_moved) x;
    if v_limit is not null then
        perform howdah.free(array[v_limit, 0]);
    end if;
    if v_attempt is not null and pg_sequence_last_value('howdah.dependencies'::regclass) is not null then
        delete from howdah.edge e where e.child = i_id;
    end if;
    return v_attempt;
end;
$$;

comment on function howdah.take_waiting is 'Take a job out of scheduled, blocked or ready; answers its attempts made.';


-- howdah.cancel_waiting: what take_waiting took ─► cancelled.
create or replace function howdah.cancel_waiting(i_id bigint, i_attempt integer, i_kind text, i_reason text, i_now timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    insert into howdah.finished (id, state, attempt, finished_at, kind, error, prune_at)
    select j.id, 'cancelled', i_attempt, i_now, i_kind, howdah.one_line(i_reason),
           howdah.prune_at(coalesce(j.failure_ttl, t.failure_ttl), i_now)
      from howdah.job j left join howdah.task t on t.name = j.task where j.id = i_id;
    if pg_sequence_last_value('howdah.dependencies'::regclass) is not null then
        perform howdah.note_ends(array[i_id], 'cancelled', i_now);
    end if;
end;
$$;

comment on function howdah.cancel_waiting is 'Record the cancellation of a job that was not running.';


-- howdah.told_by: a reason with the name of who gave it, as it is stored with the job.
create or replace function howdah.told_by(i_reason text, i_without text)
    returns text
    language sql
    stable
    set search_path = pg_catalog, pg_temp
    return case when i_reason ~ '\S' then howdah.one_line(i_reason) || ' (by ' || session_user || ')'
                else i_without || ' by ' || session_user end;

comment on function howdah.told_by is 'Who asked for something, and why.';


-- howdah.call_for: brings what was noted about a worker's runs to its ears now instead of at its next heartbeat.
create or replace function howdah.call_for(i_worker_id bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    -- its own channel, so that nobody else wakes up; rare, so that the lock that NOTIFY takes at commit does not matter
    if i_worker_id is not null then
        perform pg_notify('howdah_notice', i_worker_id::text);
    end if;
end;
$$;

comment on function howdah.call_for is 'Have a worker beat now.';


-- howdah.ask_to_stop: leaves a notice for a running job; null when it does not run.
create or replace function howdah.ask_to_stop(i_id bigint, i_reason text, i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_run howdah.running;
begin
    -- keeps the run from ending between the look and the notice; written, not only locked, so that an ack above
    -- READ COMMITTED, which cannot see the notice, fails instead of passing over it
    update howdah.running r set run_id = r.run_id where r.id = i_id returning r.* into v_run;
    if not found then
        return null;
    end if;
    insert into howdah.notice (run_id, id, worker_id, verdict, reason, requested_by, at)
    values (v_run.run_id, i_id, v_run.worker_id, 'cancel', howdah.told_by(i_reason, 'cancelled'), session_user, i_now)
    on conflict (run_id) do nothing;
    perform howdah.call_for(v_run.worker_id);
    return v_run.run_id;
end;
$$;

comment on function howdah.ask_to_stop is 'Ask a running job to stop.';


-- jobs.cancel: scheduled, blocked, ready ─► cancelled; running is asked to stop; finished stays.
create or replace function jobs.cancel(i_job_id text, i_reason text default null)
    returns jobs.changed
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now     constant timestamptz := howdah.now();
    v_id      bigint;
    v_attempt integer;
    v_state   howdah.state;
begin
    perform howdah.require_read_committed('cancel');
    v_id := howdah.job_number(i_job_id);
    for v_try in 1..1000 loop
        v_attempt := howdah.take_waiting(v_id);
        if v_attempt is not null then
            perform howdah.cancel_waiting(v_id, v_attempt, 'revoked', howdah.told_by(i_reason, 'cancelled'), v_now);
            return howdah.changed(v_id, 'cancelled');
        end if;
        if howdah.ask_to_stop(v_id, i_reason, v_now) is not null then
            return howdah.changed(v_id, 'running');
        end if;
        v_state := howdah.state_of(v_id);
        if v_state in ('succeeded', 'failed', 'cancelled', 'skipped') then
            return howdah.changed(v_id, v_state::text);
        end if;
        perform howdah.job_number(i_job_id);    -- deleted meanwhile: JB003
    end loop;
    perform howdah.wrong_state(i_job_id, 'moving', 'cancel it', 'Try again.');
end;
$$;

comment on function jobs.cancel is $$Cancel a job.

One that waits is cancelled at once. A running one is asked to stop: its worker hears of it at once, or at its next heartbeat,
and the job is cancelled when it has; it is not retried, but if it succeeds first, it has succeeded. A finished one is returned
unchanged. The reason is kept as the job's error, with the role that asked.$$;


-- jobs.retry: scheduled, blocked ─► ready; finished ─► ready with a full set of attempts.
create or replace function jobs.retry(i_job_id text)
    returns jobs.changed
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_id      bigint := howdah.job_number(i_job_id);
    v_state   howdah.state;
    v_attempt integer;
begin
    for v_try in 1..1000 loop
        v_state := howdah.state_of(v_id);
        if v_state = 'ready' then
            return howdah.changed(v_id, 'ready');
        elsif v_state = 'running' then
            perform howdah.wrong_state(i_job_id, 'running', 'retry it', 'Cancel it first or wait until it ends.');
        elsif v_state in ('scheduled', 'blocked') then
            v_attempt := howdah.take_waiting(v_id);
        elsif v_state is not null then
            perform howdah.take_key_again(v_id);
            delete from howdah.finished f where f.id = v_id returning 0 into v_attempt;
            update howdah.failure f set forgiven = true where f.job_id = v_id and v_attempt is not null;
            delete from howdah.suspect s where s.id = v_id and v_attempt is not null;
            -- it has started once or was asked for again: its time to live does not end this new life
            delete from howdah.expiry e using howdah.job j where j.id = v_id and e.expires_at = j.expires_at and e.id = v_id;
        else
            v_id := howdah.job_number(i_job_id);
        end if;
        if v_attempt is not null then
            perform howdah.make_ready(v_id, v_attempt);
            return howdah.changed(v_id, 'ready');
        end if;
    end loop;
    perform howdah.wrong_state(i_job_id, 'moving', 'retry it', 'Try again.');
end;
$$;

comment on function jobs.retry is $$Run a job now.

A waiting job is due at once, whatever it waits for; a finished one runs again with a full set of attempts, and jobs that depend on
it stay as they are. Raises JB004 for a running one, JB009 for a finished one whose unique key another job holds by now.$$;


-- jobs.delete: any state ─► gone, with everything known about the job.
create or replace function jobs.delete(i_job_id text, i_force boolean default false)
    returns jobs.changed
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now     constant timestamptz := howdah.now();
    v_id      bigint := howdah.job_number(i_job_id);
    v_changed jobs.changed;
    v_run     howdah.running;
    v_done    boolean := false;
begin
    v_changed := howdah.changed(v_id, 'deleted');
    for v_try in 1..1000 loop
        if howdah.take_waiting(v_id) is not null then
            v_done := true;
        elsif i_force then
            delete from howdah.running r where r.id = v_id returning r.* into v_run;
            if found then
                perform howdah.free(v_run.held);
                perform howdah.tell_lost(v_run, 'deleted by ' || session_user, v_now);
                v_done := true;
            end if;
        elsif exists (select from howdah.running r where r.id = v_id) then
            perform howdah.wrong_state(i_job_id, 'running', 'delete it', 'Cancel it first, or give i_force => true.');
        end if;
        if not v_done then
            delete from howdah.finished f where f.id = v_id;
            v_done := found;
        end if;
        if v_done then
            if pg_sequence_last_value('howdah.dependencies'::regclass) is not null then
                perform howdah.note_ends(array[v_id], null, v_now);
            end if;
            perform howdah.free_key_of(v_id);
            perform howdah.forget(array[v_id]);
            return v_changed;
        end if;
        v_id := howdah.job_number(i_job_id);
    end loop;
    perform howdah.wrong_state(i_job_id, 'moving', 'delete it', 'Try again.');
end;
$$;

comment on function jobs.delete is $$Delete a job and all that is known about it; its key and its unique key are free again.

Raises JB004 for a running job unless i_force; then its run has lost its lease.$$;


-- howdah.tell_lost: a notice for the worker whose run was taken away while it lives.
create or replace function howdah.tell_lost(i_run howdah.running, i_reason text, i_now timestamptz)
    returns void
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    insert into howdah.notice (run_id, id, worker_id, verdict, reason, requested_by, at)
    select i_run.run_id, i_run.id, i_run.worker_id, 'lost', i_reason, session_user, i_now
     where i_run.worker_id is not null
    on conflict (run_id) do update set verdict = 'lost', reason = excluded.reason, at = excluded.at;
    select howdah.call_for(i_run.worker_id);
$$;

comment on function howdah.tell_lost is 'Tell a worker that a run is no longer its own.';


-- howdah.forget: removes jobs whose state rows are gone.
create or replace function howdah.forget(i_ids bigint[])
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    -- what somebody holds is left to expire, which drops what belongs to no waiting job: prune must not wait for a consumer
    delete from howdah.expiry e where e.ctid = any (array(
        select x.ctid from howdah.job j join howdah.expiry x on x.expires_at = j.expires_at and x.id = j.id
         where j.id = any (i_ids) for update of x skip locked));
    delete from howdah.failure f where f.job_id = any (i_ids);
    delete from howdah.log l where l.job_id = any (i_ids);
    -- a run taken away by force leaves the wish to stop it; what tells its worker "lost" stays until it was told
    delete from howdah.notice n where n.id = any (i_ids) and n.verdict = 'cancel';
    delete from howdah.job j where j.id = any (i_ids);
end;
$$;

comment on function howdah.forget is 'Delete everything known about jobs.';
