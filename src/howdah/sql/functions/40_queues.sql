-- Queues: pause and resume, also before the first job exists.

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
    delete from howdah.queue q where q.queue = i_queue;
    perform howdah.be_in_flight();
    perform howdah.ring(array[i_queue]);
end;
$$;

comment on function jobs.resume_queue is 'Claim jobs of a paused queue again.';


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
