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
