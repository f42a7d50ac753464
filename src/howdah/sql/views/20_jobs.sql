-- The public faces of the state tables: pgjobs' columns first, then our own.

-- An upgrade locks the views that it replaces. Readers lock a view before those it reads from, so it does the same first:
-- in the order of their making it would deadlock with them. A reset of nothing is what takes the lock.
do $$
declare
    v_view text;
begin
    foreach v_view in array array[
        'jobs."all"', 'jobs.expired', 'jobs.running', 'jobs.job', 'jobs.job_queue', 'jobs.queues', 'howdah.current'] loop
        if to_regclass(v_view) is not null then
            execute format('alter view %s reset (security_barrier)', v_view);
        end if;
    end loop;
end;
$$;


create or replace view howdah.current as
select r.id, 'running'::howdah.state as state, r.attempt, r.attempt - 1 as retries, r.run_id, r.worker_id,
       r.started_at, null::timestamptz as run_at, r.deadline, null::text as kind, null::text as reason,
       null::timestamptz as since
  from howdah.running r
union all
select s.id, 'scheduled', s.attempt, s.attempt, null, null, null, s.run_at, null,
       case when s.attempt > 0 then 'retry' else 'time' end, null, null
  from howdah.scheduled s
union all
select b.id, 'blocked', b.attempt, b.attempt, null, null, null, null, null, b.kind, b.reason, b.blocked_at
  from howdah.blocked b;

comment on view howdah.current is 'Every unfinished job that is not ready, one row each.';


create or replace view jobs.job_queue as
with unfinished as (
    select c.id, c.state, c.attempt, c.retries, c.run_id, c.worker_id, c.started_at, c.run_at, c.kind, c.reason
      from howdah.current c
    union all
    -- a direct publish, found by its lane's key
    select j.id, 'ready', r.attempt, r.attempt, null, null, null, null, null, null
      from howdah.job j
      join howdah.ready r on r.queue = howdah.lane_of(j.queue, j.tenant, j.requires) and r.priority = coalesce(j.priority, 0)
                         and r.pos = j.id and r.id = j.id
    union all
    -- what came back, found by its number
    select j.id, 'ready', r.attempt, r.attempt, null, null, null, null, null, null
      from howdah.job j join howdah.ready r on r.id = j.id and r.pos <> r.id
)
select j.id,
       coalesce(j.key, j.id::text) as job_id,
       j.task,
       j.body,
       u.retries,
       coalesce(j.max_retries, t.max_retries, 3) as max_retries,
       coalesce(j.priority, t.priority, 0::smallint)::integer as priority,
       coalesce(j.timeout, t.timeout, 60)::numeric as timeout,
       j.created_at,
       u.started_at as run_at,
       coalesce(u.run_at, j.scheduled_at) as scheduled_at,
       case when u.state = 'running' then 'running' else 'pending' end as status,
       coalesce(j.queue, t.queue, 'default') as queue,
       u.state::text as state,
       u.attempt,
       u.run_id,
       u.kind,
       u.reason,
       u.worker_id,
       j.headers,
       j.meta,
       j.key
  from unfinished u
  join howdah.job j on j.id = u.id
  left join howdah.task t on t.name = j.task;

comment on view jobs.job_queue is
    'Every unfinished job. status is pending or running; run_at is when the run started, scheduled_at when it is due.';


create or replace view jobs.running as
select * from jobs.job_queue where state = 'running';

comment on view jobs.running is 'Jobs that run now.';


create or replace view jobs.expired as
select q.*
  from jobs.job_queue q
  join howdah.running r on r.id = q.id
 where q.state = 'running' and r.deadline < howdah.now();

comment on view jobs.expired is 'Jobs running past their timeout; the next consume or maintain takes them back.';


create or replace view jobs.job as
select j.id,
       coalesce(j.key, j.id::text) as job_id,
       j.task,
       j.body,
       greatest(f.attempt - 1, 0) as retries,
       coalesce(j.max_retries, t.max_retries, 3) as max_retries,
       coalesce(j.priority, t.priority, 0::smallint)::integer as priority,
       coalesce(j.timeout, t.timeout, 60)::numeric as timeout,
       j.created_at,
       f.started_at as run_at,
       j.scheduled_at,
       case f.state when 'succeeded' then 'success' else f.state::text end as status,
       coalesce(j.queue, t.queue, 'default') as queue,
       f.state::text as state,
       f.attempt,
       f.run_id,
       f.kind,
       null::text as reason,
       null::bigint as worker_id,
       j.headers,
       j.meta,
       j.key,
       f.finished_at as complete_on,
       f.result,
       l.traceback,
       f.error
  from howdah.finished f
  join howdah.job j on j.id = f.id
  left join howdah.task t on t.name = j.task
  left join howdah.failure l on l.job_id = f.id and l.run_id = f.run_id and f.state <> 'succeeded';

comment on view jobs.job is
    'Finished jobs. status is success, failed, cancelled or skipped; complete_on is when it ended.';


create or replace view jobs."all" as
select q.*, null::timestamptz as complete_on, null::jsonb as result, null::text as traceback, null::text as error
  from jobs.job_queue q
union all
select * from jobs.job;

comment on view jobs."all" is 'Every job, finished or not.';


-- The columns that jobs.running, jobs.expired and jobs."all" have, too.
comment on column jobs.job_queue.id is 'Number of the job.';
comment on column jobs.job_queue.job_id is 'The key given at publish, else the number as text.';
comment on column jobs.job_queue.task is 'Name of the task.';
comment on column jobs.job_queue.body is 'As published; a Python task takes {"args": […], "kwargs": {…}}.';
comment on column jobs.job_queue.retries is 'Attempts that have failed.';
comment on column jobs.job_queue.max_retries is 'Attempts after the first.';
comment on column jobs.job_queue.priority is 'Larger is taken first.';
comment on column jobs.job_queue.timeout is 'Seconds that a run may take.';
comment on column jobs.job_queue.created_at is 'When it was published.';
comment on column jobs.job_queue.run_at is 'When the run under way began.';
comment on column jobs.job_queue.scheduled_at is 'When it is due, or was asked for.';
comment on column jobs.job_queue.status is 'pending or running.';
comment on column jobs.job_queue.queue is 'The queue it lies in.';
comment on column jobs.job_queue.state is 'blocked, scheduled, ready or running.';
comment on column jobs.job_queue.attempt is 'Number of the run under way; attempts made, while it waits.';
comment on column jobs.job_queue.run_id is 'Number of the run under way: what a write about the run names.';
comment on column jobs.job_queue.kind is 'What it waits for: time, retry, task, arguments.';
comment on column jobs.job_queue.reason is 'More about what it is blocked by.';
comment on column jobs.job_queue.worker_id is 'The worker that runs it; null for a plain consumer.';
comment on column jobs.job_queue.headers is 'As published.';
comment on column jobs.job_queue.meta is 'As published.';
comment on column jobs.job_queue.key is 'The key given at publish.';
comment on column jobs.job.run_at is 'When its last run began.';
comment on column jobs.job.status is 'success, failed, cancelled or skipped.';
comment on column jobs.job.state is 'succeeded, failed, cancelled or skipped.';
comment on column jobs.job.kind is 'Why it did not succeed: error, timeout, crash, result, ttl, …';
comment on column jobs.job.complete_on is 'When it ended.';
comment on column jobs.job.result is 'What its task returned.';
comment on column jobs.job.traceback is 'Traceback of its last attempt.';
comment on column jobs.job.error is 'One line: why it did not succeed.';
