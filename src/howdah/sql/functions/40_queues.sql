-- Queues: pause, resume and set, also before the first job exists.

-- jobs.pause_queue: no job of the queue is claimed after this commits.
create or replace function jobs.pause_queue(i_queue text, i_reason text default null)
    returns void
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform howdah.check_name('queue', i_queue);
    insert into howdah.queue as q (queue, paused_at, reason) values (i_queue, howdah.now(), howdah.one_line(i_reason))
    on conflict (queue) do update set paused_at = coalesce(q.paused_at, excluded.paused_at), reason = excluded.reason;
end;
$$;

comment on function jobs.pause_queue is 'Claim no more jobs of a queue; running ones go on.';


-- jobs.resume_queue: jobs of the queue may be claimed again.
create or replace function jobs.resume_queue(i_queue text)
    returns void
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform howdah.check_name('queue', i_queue);
    delete from howdah.queue q where q.queue = i_queue and q.result_ttl is null and q.failure_ttl is null
       and q.max_waiting is null and q.ageing is null;
    if not found then
        update howdah.queue q set paused_at = null, reason = null where q.queue = i_queue;
    end if;
    perform howdah.be_in_flight();
    perform howdah.ring(array[i_queue], null, 1000);       -- whatever kinds its jobs are for
end;
$$;

comment on function jobs.resume_queue is 'Claim jobs of a paused queue again.';


-- howdah.set_ageing: when a queue's jobs go before higher priorities.
create or replace function howdah.set_ageing(i_queue text, i_ageing numeric)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform howdah.check_number('ageing', i_ageing, -1, 3155760000);
    if i_ageing is null then
        return;
    end if;
    perform howdah.use_controls();
    insert into howdah.queue as q (queue, ageing) values (i_queue, case when i_ageing >= 0 then i_ageing end)
    on conflict (queue) do update set ageing = excluded.ageing;
end;
$$;

comment on function howdah.set_ageing is 'Set when jobs of a queue go before higher priorities.';


-- jobs.set_queue: limits of a queue, its ageing, and how long its finished jobs are kept.
create or replace function jobs.set_queue(
    i_queue text, i_result_ttl numeric default null, i_failure_ttl numeric default null,
    i_max_running integer default null, i_rate integer default null, i_per interval default null,
    i_max_waiting integer default null, i_ageing numeric default null)
    returns void
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform howdah.check_name('queue', i_queue);
    perform howdah.check_number('result_ttl', i_result_ttl, -1, 3155760000);
    perform howdah.check_number('failure_ttl', i_failure_ttl, -1, 3155760000);
    perform howdah.check_number('max_waiting', i_max_waiting, -1, 1000000000);
    perform howdah.set_limit('queue', i_queue, i_max_running, i_rate, i_per);
    perform howdah.set_ageing(i_queue, i_ageing);
    if i_result_ttl is not null or i_failure_ttl is not null then
        perform howdah.keep_queue(i_queue, i_result_ttl, i_failure_ttl);
    end if;
    if i_max_waiting is not null then
        perform setval('howdah.bounds', 1);
        insert into howdah.queue as q (queue, max_waiting) values (i_queue, nullif(i_max_waiting, -1))
        on conflict (queue) do update set max_waiting = excluded.max_waiting;
    end if;
end;
$$;

comment on function jobs.set_queue is $$Set what holds for a queue; what is not given stays as it is, -1 removes a limit.

i_max_running: how many slots its jobs take at once, over all workers. i_rate and i_per: how many start in any such interval.
i_max_waiting: how many may wait before publish refuses (JB008). i_ageing: seconds after which a waiting job goes before every
higher priority. i_result_ttl, i_failure_ttl: seconds to keep successes (default
7 days) and the rest (30 days), -1 for ever; for jobs that have ended before, too; a time that the job or its task names comes
first. A limit holds from its commit on. Raises JB001 naming the field.$$;


-- howdah.keep_queue: how long the finished jobs of a queue are kept, those that have ended before included.
--
-- Nothing is written into them: prune looks when it matters. Each time to keep has a sweep of its own, which begins anew.
create or replace function howdah.keep_queue(i_queue text, i_result_ttl numeric, i_failure_ttl numeric)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    insert into howdah.queue as q (queue, result_ttl, failure_ttl, kept_since)
    values (i_queue, i_result_ttl, i_failure_ttl, howdah.now())
    on conflict (queue) do update
       set result_ttl = coalesce(excluded.result_ttl, q.result_ttl),
           failure_ttl = coalesce(excluded.failure_ttl, q.failure_ttl), kept_since = excluded.kept_since;
    delete from howdah.sweep s where s.ctid = any (array(
        select x.ctid from howdah.sweep x
         where x.ttl is not null and not exists (
               select from howdah.queue q where x.ttl = case x.kind when 'succeeded' then q.result_ttl else q.failure_ttl end)
           for update skip locked));
    insert into howdah.sweep (kind, ttl)
    select x.kind, x.ttl from (values ('other', i_failure_ttl), ('succeeded', i_result_ttl)) x (kind, ttl) where x.ttl >= 0
    on conflict do nothing;
end;
$$;

comment on function howdah.keep_queue is 'Set how long finished jobs of a queue are kept.';


-- jobs.purge_queue: ready, scheduled, blocked ─► gone, for the waiting jobs of a queue; running ones go on.
--
-- Locks: the rows it deletes, SKIP LOCKED.
create or replace function jobs.purge_queue(i_queue text, i_limit integer default 10000)
    returns bigint
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_ids  bigint[];
    v_gone bigint[] := '{}';
    v_id   bigint;
begin
    perform howdah.check_name('queue', i_queue);
    if i_limit is null or i_limit not between 1 and 1000000 then
        perform howdah.refuse('limit', 'is out of range', 'Give a number from 1 to 1000000.');
    end if;
    v_ids := array(
        select q.id from jobs.job_queue q where q.queue = i_queue and q.state <> 'running' order by q.id limit i_limit);
    foreach v_id in array v_ids loop
        if howdah.lock_waiting(v_id) is not null and howdah.take_waiting(v_id) is not null then
            v_gone := v_gone || v_id;
        end if;
    end loop;
    if pg_sequence_last_value('howdah.dependencies'::regclass) is not null then
        perform howdah.note_ends(v_gone, null, howdah.now());
    end if;
    perform howdah.forget(v_gone);
    return cardinality(v_gone);
end;
$$;

comment on function jobs.purge_queue is 'Delete up to i_limit waiting jobs of a queue; answers how many. Running ones go on.';


-- jobs.list_queues, list_workers, list_tasks: the views as functions, for clients that call nothing else.
create or replace function jobs.list_queues()
    returns setof jobs.queues
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query select q.* from jobs.queues q order by q.queue;
end;
$$;

comment on function jobs.list_queues is 'Queues that hold unfinished jobs or have been set.';


create or replace function jobs.list_workers()
    returns setof jobs.workers
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query select w.* from jobs.workers w order by w.worker_id;
end;
$$;

comment on function jobs.list_workers is 'Registered workers.';


create or replace function jobs.list_tasks()
    returns setof jobs.tasks
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query select t.* from jobs.tasks t order by t.task;
end;
$$;

comment on function jobs.list_tasks is 'Registered tasks with their options.';


create or replace function jobs.list_limits()
    returns setof jobs.limits
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query select l.* from jobs.limits l order by l.kind, l.name;
end;
$$;

comment on function jobs.list_limits is 'Limits, and what they hold back.';
