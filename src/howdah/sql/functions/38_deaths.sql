-- Deaths: what becomes of the runs of a worker that is gone, and which of them are to blame.

-- howdah.hand_back: a worker's runs ─► ready. A death counts against the job apart from its attempts.
create or replace function howdah.hand_back(i_worker_id bigint, i_crashed boolean, i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_run   howdah.running;
    v_count bigint := 0;
begin
    perform from howdah.running r where r.worker_id = i_worker_id order by r.id for update;     -- locks by id, as everybody
    for v_run in
        select r.* from howdah.running r where r.worker_id = i_worker_id order by r.run_id
    loop
        delete from howdah.running r where r.id = v_run.id;
        perform howdah.free(v_run.held);
        if i_crashed then
            perform howdah.died(v_run, i_now);
        elsif not howdah.cancel_wanted(v_run, i_now) then
            perform howdah.make_ready(v_run.id, v_run.attempt - 1);
        end if;
        v_count := v_count + 1;
    end loop;
    perform howdah.unregister(i_worker_id);
    perform howdah.admit();
    return v_count;
end;
$$;

comment on function howdah.hand_back is 'Unregister a worker and hand its runs back.';


-- howdah.died: a run whose worker died ─► ready; from the second such death of a job on ─► blocked (kind alone).
--
-- It costs neither an attempt nor, however often it happens, the job: others ran in that process, too. But the job is a
-- suspect then, and waits for a process of its own, where a death tells who did it (jobs.run_died).
create or replace function howdah.died(i_run howdah.running, i_now timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    insert into howdah.failure (job_id, attempt, run_id, at, kind, error)
    values (i_run.id, i_run.attempt, i_run.run_id, i_now, 'crash', 'its worker died');
    if howdah.cancel_wanted(i_run, i_now) then
        return;
    end if;
    if howdah.deaths(i_run.id) < 2 then
        perform howdah.make_ready(i_run.id, i_run.attempt - 1);
        return;
    end if;
    insert into howdah.suspect (id) values (i_run.id) on conflict do nothing;
    perform setval('howdah.suspects', 1);
    insert into howdah.blocked (id, kind, task, attempt, blocked_at)
    select j.id, 'alone', j.task, i_run.attempt - 1, i_now from howdah.job j where j.id = i_run.id;
end;
$$;

comment on function howdah.died is 'Record the death of a run and bring its job back.';


-- howdah.admit: suspects that wait for a process of their own ─► ready, oldest first, two of each lane for each worker.
--
-- So a crash with hundreds of jobs in flight does not become hundreds of processes, and none waits for ever: first in,
-- first out. Without a worker nobody has processes, and a hundred may go, whoever consumes them.
-- Locks: the rows moved, SKIP LOCKED.
create or replace function howdah.admit()
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_room    constant bigint := (select coalesce(nullif(2 * count(*), 0), 100) from howdah.worker);
    v_id      bigint;
    v_attempt integer;
    v_count   bigint := 0;
begin
    if not exists (select from howdah.suspect) then
        return 0;
    end if;
    for v_id in
        with suspect as materialized (
            select s.id, coalesce(j.queue, t.queue, 'default') as queue, coalesce(j.priority, t.priority, 0) as priority,
                   b.blocked_at,
                   exists (select from howdah.running r where r.id = s.id)
                   or exists (select from howdah.ready r where r.id = s.id and r.pos <> r.id) as about
              from howdah.suspect s join howdah.job j on j.id = s.id left join howdah.task t on t.name = j.task
              left join howdah.blocked b on b.id = s.id and b.kind = 'alone'
        ), numbered as (
            select s.id, s.blocked_at,
                   row_number() over (partition by s.queue, s.priority order by s.blocked_at, s.id)
                   + (select count(*) from suspect a
                       where a.about and a.queue = s.queue and a.priority = s.priority) as n
              from suspect s where s.blocked_at is not null
        )
        select n.id from numbered n where n.n <= v_room order by n.blocked_at, n.id
    loop
        delete from howdah.blocked b where b.ctid = (
            select x.ctid from howdah.blocked x where x.id = v_id and x.kind = 'alone' for update skip locked)
        returning b.attempt into v_attempt;
        if found then
            perform howdah.make_ready(v_id, v_attempt);
            v_count := v_count + 1;
        end if;
    end loop;
    return v_count;
end;
$$;

comment on function howdah.admit is 'Let suspects run, as many as may have a process of their own.';


-- howdah.acquit: forgets suspects that have ended or are gone, and sets the register that says whether there are any.
--
-- A suspect that is made at this moment, and not committed yet, may be overlooked by claims until the next chores: then it
-- runs with others once more. Locks: their rows, SKIP LOCKED.
create or replace function howdah.acquit()
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_any bigint;
begin
    delete from howdah.suspect s where s.ctid = any (array(
        select x.ctid from howdah.suspect x
         where exists (select from howdah.finished f where f.id = x.id)
            or not exists (select from howdah.job j where j.id = x.id)
           for update skip locked));
    v_any := case when exists (select from howdah.suspect) then 1 else 0 end;
    if coalesce(pg_sequence_last_value('howdah.suspects'::regclass), 0) <> v_any then
        perform setval('howdah.suspects', v_any);
    end if;
end;
$$;

comment on function howdah.acquit is 'Forget suspects that have ended.';


-- howdah.deaths_alone: attempts of this life of a job that ended with the death of a process in which it was alone.
--
-- Those cost an attempt, so they are the last word about theirs; a death with a worker is followed by more of the same attempt.
create or replace function howdah.deaths_alone(i_run howdah.running)
    returns bigint
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select count(*)
      from (select distinct on (f.attempt) f.kind from howdah.failure f
             where f.job_id = i_run.id and not f.forgiven and f.attempt < i_run.attempt
             order by f.attempt, f.run_id desc) last
     where last.kind = 'crash';
$$;

comment on function howdah.deaths_alone is 'How often a job has killed a process of its own.';


-- jobs.run_died: running ─► scheduled for a retry, or failed: the process died in which the run was alone.
--
-- Fence: the run id.
create or replace function jobs.run_died(i_job_id text, i_run_id bigint, i_error text default null)
    returns jobs.changed
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_run howdah.running;
begin
    if i_run_id is null then
        perform howdah.run_id_required(i_job_id);
    end if;
    v_run := howdah.end_run(i_job_id, i_run_id);
    if v_run.worker_id is null then
        perform howdah.refuse('run_id', 'is that of a plain consumer''s run', 'Only workers know of processes: use jobs.nack.');
    end if;
    return howdah.changed(v_run.id, howdah.fail(v_run, 'crash', coalesce(i_error, 'its process died'), null, null,
        howdah.deaths_alone(v_run) >= 2, howdah.now()));
end;
$$;

comment on function jobs.run_died is $$Record that the process died in which a run was alone: kind crash.

It costs an attempt, as a failure does; the third such death of a job is its last. Raises like ack.$$;
