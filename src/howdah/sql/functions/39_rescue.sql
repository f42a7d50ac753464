-- Rescue: runs whose leases have ended, whose workers have died, or that are overdue.

-- howdah.rescue: running ─► retry or failed (kind timeout) for plain consumers past their deadline; ─► ready for the runs
-- of workers past their lease.
create or replace function howdah.rescue(i_now timestamptz, i_limit integer)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_first  constant timestamptz := howdah.first_deadline(i_now);
    v_judged constant timestamptz := howdah.judged_from(i_now);
    v_run    howdah.running;
    v_worker bigint;
    v_count  bigint := 0;
begin
    for v_run in
        select r.* from howdah.running r
         where r.worker_id is null and r.deadline >= v_first and r.deadline < i_now
         order by r.deadline limit i_limit for update skip locked
    loop
        v_count := v_count + howdah.time_out(v_run, i_now);
    end loop;
    for v_worker in
        select w.id from howdah.worker w join howdah.beat b on b.worker_id = w.id
         where b.beat_at + make_interval(secs => w.lease) < v_judged or howdah.has_gone(w, b.beat_at, i_now) order by w.id
    loop
        -- refused while an exchange of that worker is under way: it is alive after all, or the next sweep finds it dead
        if pg_try_advisory_xact_lock(48177, (v_worker % 2147483647)::integer) then
            v_count := v_count + howdah.bury(v_worker, i_now);
        end if;
    end loop;
    return v_count;
end;
$$;

comment on function howdah.rescue is 'Take back runs past their timeout or of dead workers.';


-- howdah.first_deadline: when the first run of a plain consumer is past its timeout; null: there is none.
create or replace function howdah.first_deadline(i_now timestamptz)
    returns timestamptz
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_from  constant timestamptz := howdah.search_from('howdah.search_deadline', i_now);
    v_pages constant bigint := howdah.pages_read('howdah.running', 'howdah.running_plain_deadline');
    v_began constant timestamptz := clock_timestamp();
    v_first timestamptz;
begin
    select r.deadline into v_first from howdah.running r
     where r.worker_id is null and r.deadline >= v_from order by r.deadline limit 1;
    perform howdah.end_search('howdah.search_deadline', v_from, v_first, i_now,
        howdah.pages_read('howdah.running', 'howdah.running_plain_deadline') - v_pages, v_began);
    return v_first;
end;
$$;

comment on function howdah.first_deadline is 'When the first run of a plain consumer is past its timeout.';


-- howdah.time_out: one run past its timeout ─► retry or failed; its worker, if it has one, is told.
--
-- Whatever goes wrong with one run must not stop the sweep for all others: it is rolled back, warned about and tried again
-- by the next sweep.
create or replace function howdah.time_out(i_run howdah.running, i_now timestamptz)
    returns integer
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from howdah.running r where r.id = i_run.id;
    perform howdah.free(i_run.held);
    perform howdah.fail(i_run, 'timeout', 'not finished within its timeout', null, null, false, i_now);
    perform howdah.tell_lost(i_run, 'past its timeout', i_now);
    return 1;
exception when data_exception or integrity_constraint_violation or program_limit_exceeded then
    raise warning 'howdah: run % of job % cannot be timed out: %', i_run.run_id, i_run.id, sqlerrm;
    return 0;
end;
$$;

comment on function howdah.time_out is 'Take back one run past its timeout.';


-- howdah.bury: a worker past its lease, looked at once more now that its lock is ours.
--
-- Its runs ─► ready; it is unregistered when none is left. Locks: its runs in id order, SKIP LOCKED.
create or replace function howdah.bury(i_worker_id bigint, i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_run   howdah.running;
    v_count bigint := 0;
begin
    perform from howdah.worker w join howdah.beat b on b.worker_id = w.id
      where w.id = i_worker_id
        and (b.beat_at + make_interval(secs => w.lease) < i_now or howdah.has_gone(w, b.beat_at, i_now))
        for update skip locked;
    if not found then
        return 0;
    end if;
    -- a run that somebody holds, say an open transaction that cancels it, is left to the next sweep; the others are not
    for v_run in
        select r.* from howdah.running r
         where r.id = any (array(
               select x.id from howdah.running x where x.worker_id = i_worker_id order by x.id for update skip locked))
         order by r.run_id
    loop
        delete from howdah.running r where r.id = v_run.id;
        perform howdah.free(v_run.held);
        perform howdah.died(v_run, i_now);
        perform howdah.tell_lost(v_run, 'its worker missed its lease', i_now);      -- should it come back before the last one
        v_count := v_count + 1;
    end loop;
    if not exists (select from howdah.running r where r.worker_id = i_worker_id) then
        perform howdah.unregister(i_worker_id);
    end if;
    perform howdah.admit();
    return v_count;
end;
$$;

comment on function howdah.bury is 'Declare a worker dead that has missed its lease.';


-- howdah.rescue_overdue: a live worker's runs 10 s past their deadline ─► retry or failed (kind timeout). The worker
-- enforces timeouts itself; this is for one that cannot, because its code does not let go.
--
-- Reads all of running: an index on every run's deadline would cost each claim more than this look, which is seldom where it
-- is dear.
create or replace function howdah.rescue_overdue(i_now timestamptz, i_limit integer)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_from  constant timestamptz := howdah.search_from('howdah.search_overdue', i_now);
    v_pages constant bigint := howdah.pages_read('howdah.running', 'howdah.running_pkey');
    v_began constant timestamptz := clock_timestamp();
    v_run   howdah.running;
    v_seen  bigint := 0;
    v_count bigint := 0;
begin
    if v_from > '-infinity' then
        return 0;
    end if;
    for v_run in
        select r.* from howdah.running r
         where r.worker_id is not null and r.deadline < i_now - interval '10 s'
         order by r.id limit i_limit for update skip locked
    loop
        v_seen := v_seen + 1;
        v_count := v_count + howdah.time_out(v_run, i_now);
    end loop;
    if v_seen = 0 then
        perform howdah.end_search('howdah.search_overdue', v_from, i_now, i_now,
            howdah.pages_read('howdah.running', 'howdah.running_pkey') - v_pages, v_began);
    end if;
    return v_count;
end;
$$;

comment on function howdah.rescue_overdue is 'Take back runs that a live worker does not end.';
