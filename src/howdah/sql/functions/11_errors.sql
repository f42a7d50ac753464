-- Every error that a client must tell apart, each with its own SQLSTATE of class JB.

-- howdah.refuse: JB001, bad input; COLUMN carries the field's name.
create or replace function howdah.refuse(i_field text, i_problem text, i_hint text)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception '%: %', i_field, i_problem
        using errcode = 'JB001', hint = i_hint, column = i_field;
end;
$$;

comment on function howdah.refuse is 'Raise JB001: the input named is not acceptable.';


-- howdah.lease_lost: JB002, the run is not current.
create or replace function howdah.lease_lost(i_job_id text, i_run_id bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'job % is not held by run %', i_job_id, coalesce(i_run_id::text, '(none)')
        using errcode = 'JB002', column = 'run_id',
              hint = 'The lease ended and the job went on without this run. Drop its outcome.';
end;
$$;

comment on function howdah.lease_lost is 'Raise JB002: this run may not write about the job any more.';


-- howdah.job_not_found: JB003.
create or replace function howdah.job_not_found(i_job_id text)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'there is no job %', coalesce(i_job_id, '(null)')
        using errcode = 'JB003', column = 'job_id',
              hint = 'It was never published, its transaction was rolled back, or it has been pruned or deleted.';
end;
$$;

comment on function howdah.job_not_found is 'Raise JB003: no such job.';


-- howdah.wrong_state: JB004.
create or replace function howdah.wrong_state(i_job_id text, i_state text, i_wanted text, i_hint text)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'job % is %: cannot %', i_job_id, i_state, i_wanted
        using errcode = 'JB004', column = 'job_id', hint = i_hint;
end;
$$;

comment on function howdah.wrong_state is 'Raise JB004: the job''s state does not allow this.';


-- howdah.require_read_committed: JB005 above READ COMMITTED, where a claim fails at random.
create or replace function howdah.require_read_committed(i_function text)
    returns void
    language plpgsql
as $$
begin
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        raise exception 'jobs.% does not work at isolation level %',
                i_function, current_setting('transaction_isolation')
            using errcode = 'JB005',
                  hint = 'Call it in a READ COMMITTED transaction; publish works at every level.';
    end if;
end;
$$;

comment on function howdah.require_read_committed is 'Raise JB005 above READ COMMITTED.';


-- howdah.run_id_required: JB006.
create or replace function howdah.run_id_required(i_job_id text)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'job % is run by a registered worker', i_job_id
        using errcode = 'JB006', column = 'run_id',
              hint = 'Give i_run_id as the claim returned it.';
end;
$$;

comment on function howdah.run_id_required is 'Raise JB006: only a plain consumer may finish a job without its run id.';


-- howdah.worker_unknown: JB007.
create or replace function howdah.worker_unknown(i_worker_id bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'worker % is not registered', coalesce(i_worker_id::text, '(null)')
        using errcode = 'JB007', column = 'worker_id',
              hint = 'It stopped or was declared dead and its runs were handed back. Call jobs.worker_started again.';
end;
$$;

comment on function howdah.worker_unknown is 'Raise JB007: register anew.';


-- howdah.queue_full: JB008.
create or replace function howdah.queue_full(i_queue text, i_most integer, i_seconds numeric)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'queue % is full: % jobs wait', i_queue, i_most
        using errcode = 'JB008', column = 'queue', detail = coalesce(i_seconds, 1)::text,
              hint = format('Try again in %s s, when some have started.', coalesce(i_seconds, 1));
end;
$$;

comment on function howdah.queue_full is 'Raise JB008: the queue holds as many waiting jobs as it may; DETAIL has the seconds to wait.';


-- howdah.duplicate_job: JB009; DETAIL carries the job that holds the key.
create or replace function howdah.duplicate_job(i_key text, i_job_id text)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'job % holds the unique key %', i_job_id, quote_literal(i_key)
        using errcode = 'JB009', column = 'unique_key', detail = i_job_id,
              hint = 'Wait until it lets go of the key, or give another unique_mode: skip returns that job.';
end;
$$;

comment on function howdah.duplicate_job is 'Raise JB009: another job holds this unique key.';
