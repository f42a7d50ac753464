-- why: one sentence for the question everybody asks.

-- howdah.counted: a number with its noun.
create or replace function howdah.counted(i_count bigint, i_noun text)
    returns text
    language sql
    immutable parallel safe
    return i_count || ' ' || i_noun || case when i_count = 1 then '' else 's' end;

comment on function howdah.counted is 'A number with its noun in the right form.';


-- jobs.why: why a job is not running, naming the thing it waits for.
create or replace function jobs.why(i_job_id text)
    returns text
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := howdah.now();
    v_id  constant bigint := howdah.job_number(i_job_id);
    v_job jobs."all";
begin
    select a.* into v_job from jobs."all" a where a.id = v_id;
    return concat(case v_job.state
        when 'running' then howdah.why_running(v_job, v_now)
        when 'scheduled' then howdah.why_scheduled(v_job, v_now)
        when 'blocked' then case when v_job.kind = 'limit' then howdah.why_limited(v_id, v_now) else howdah.why_blocked(v_job) end
        when 'ready' then howdah.why_ready(v_job, v_now)
        when 'succeeded' then format('It succeeded at %s and is kept %s.', date_trunc('second', v_job.complete_on),
                                     howdah.why_kept(v_id))
        else format('It is %s since %s, kept %s: %s%s.', v_job.state, date_trunc('second', v_job.complete_on),
                    howdah.why_kept(v_id), concat_ws(', ', v_job.kind, v_job.error),
                    case when v_job.kind = 'crash' then format('; its process died %s in all', howdah.counted(howdah.deaths(v_id), 'time')) end)
    end, howdah.why_unique(v_id, v_now));
end;
$$;

comment on function jobs.why is 'One sentence: why this job is not running. Raises JB003.';


-- howdah.deaths: how often a job's process has died since it was published or retried by hand.
create or replace function howdah.deaths(i_id bigint)
    returns bigint
    language sql
    stable
    set search_path = pg_catalog, pg_temp
    return (select count(*) from howdah.failure f where f.job_id = i_id and f.kind = 'crash' and not f.forgiven);

comment on function howdah.deaths is 'How often the process of a job has died in this life of it.';


create or replace function howdah.why_running(i_job jobs."all", i_now timestamptz)
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_run    howdah.running;
    v_worker text;
begin
    select r.* into v_run from howdah.running r where r.id = i_job.id;
    select format('worker %s (%s, process %s)', w.id, coalesce(w.host, w.name), coalesce(w.pid::text, 'unknown')) into v_worker
      from howdah.worker w where w.id = v_run.worker_id;
    return format('It is running since %s: attempt %s by %s%s%s%s.', date_trunc('second', v_run.started_at), v_run.attempt,
        coalesce(v_worker, 'a plain consumer'),
        (select format(', alone, because its worker died %s', howdah.counted(howdah.deaths(s.id), 'time'))
           from howdah.suspect s where s.id = v_run.id and v_run.worker_id is not null),
        case when v_run.deadline < i_now then ', past its timeout of ' || trim_scale(i_job.timeout) || ' s' else '' end,
        (select ', asked to stop since ' || date_trunc('second', n.at) || ': ' || n.reason
           from howdah.notice n where n.run_id = v_run.run_id and n.verdict = 'cancel'));
end;
$$;

comment on function howdah.why_running is 'Who runs it.';


create or replace function howdah.why_scheduled(i_job jobs."all", i_now timestamptz)
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_last howdah.failure;
begin
    if i_job.scheduled_at <= i_now then
        return format('It is due since %s and becomes ready at the next look of a worker or consumer.',
            date_trunc('second', i_job.scheduled_at));
    end if;
    if i_job.attempt > 0 then
        select f.* into v_last from howdah.failure f where f.job_id = i_job.id order by f.run_id desc limit 1;
        return format('It waits until %s for retry %s of %s after attempt %s failed: %s.', date_trunc('second', i_job.scheduled_at),
            i_job.attempt, i_job.max_retries, i_job.attempt, concat_ws(', ', v_last.kind, v_last.error));
    end if;
    return format('It is scheduled for %s.', date_trunc('second', i_job.scheduled_at));
end;
$$;

comment on function howdah.why_scheduled is 'What time it waits for.';


create or replace function howdah.why_blocked(i_job jobs."all")
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if i_job.kind = 'arguments' then
        return format('Its arguments do not fit task %s: %s. It waits for a worker with another version of the task, or for: retry.',
            i_job.task, coalesce(i_job.reason, 'unknown'));
    elsif i_job.kind = 'alone' then
        return format('Task %s: its worker died %s while it ran, so it runs alone now, and waits for a process of its own.',
            i_job.task, howdah.counted(howdah.deaths(i_job.id), 'time'));
    elsif i_job.kind = 'parent' then
        return howdah.why_parent(i_job.id);
    end if;
    return howdah.why_unknown(i_job.task, i_job.reason);
end;
$$;

comment on function howdah.why_blocked is 'What it is blocked by.';


create or replace function howdah.why_unknown(i_task text, i_reason text)
    returns text
    language sql
    immutable
    set search_path = pg_catalog, pg_temp
    return format('No live worker knows task %s%s. It waits until one starts that does.', i_task,
                  coalesce(' (' || i_reason || ')', ''));

comment on function howdah.why_unknown is 'No worker knows its task.';


-- What is missing to the live worker that comes nearest to having all labels of a lane; null: nothing.
create or replace function howdah.missing_labels(i_lane text, i_task text, i_now timestamptz)
    returns text
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select nullif(array_to_string(m.labels, ' and '), '')
      from howdah.worker w
      join howdah.beat b on b.worker_id = w.id
     cross join lateral (
            select array(select l from unnest(howdah.labels_of(i_lane)) l where l <> all (w.labels)) as labels) m
     where b.beat_at + make_interval(secs => w.lease) >= i_now
       and (w.queues is null or howdah.queue_of(i_lane) = any (w.queues))
       and (w.topic is null or i_task like howdah.topic_pattern(w.topic))
       and (i_task = any (w.tasks) or i_task like any (w.patterns))
     order by cardinality(m.labels), m.labels limit 1;
$$;

comment on function howdah.missing_labels is 'Labels that no worker has.';


-- The first thing that keeps a ready job from being claimed: a pause, no worker, workers of other queues or tasks, others
-- in front of it.
create or replace function howdah.why_ready(i_job jobs."all", i_now timestamptz)
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_ready  howdah.ready;
    v_queue  howdah.queue;
    v_ahead  bigint;
    v_serves bigint;
    v_knows  bigint;
    v_full   text;
    v_alive  bigint;
    v_name   text;      -- of its queue
    v_labels text;
begin
    select r.* into v_ready from howdah.ready r
     where r.ctid = (select howdah.ready_position(j) from howdah.job j where j.id = i_job.id);
    v_name := howdah.queue_of(v_ready.queue);
    select q.* into v_queue from howdah.queue q where q.queue = v_name and q.paused_at is not null;
    if found then
        return format('Queue %s is paused since %s%s.', v_queue.queue, date_trunc('second', v_queue.paused_at),
            coalesce(': ' || v_queue.reason, ''));
    end if;
    v_full := howdah.why_full(v_name, coalesce((select j.slots from howdah.job j where j.id = i_job.id), 1), i_now);
    if v_full is not null then
        return format('It is ready, and waits for %s.', v_full);
    end if;
    select count(*), count(*) filter (
               where (w.queues is null or v_name = any (w.queues))
                 and (w.topic is null or i_job.task like howdah.topic_pattern(w.topic))
                 and (i_job.task = any (w.tasks) or i_job.task like any (w.patterns))),
           count(*) filter (where i_job.task = any (w.tasks) or i_job.task like any (w.patterns))
      into v_alive, v_serves, v_knows
      from howdah.worker w join howdah.beat b on b.worker_id = w.id
     where b.beat_at + make_interval(secs => w.lease) >= i_now;
    select count(*) into v_ahead from (
        select from howdah.ready r
         where r.queue = v_ready.queue and (r.priority > v_ready.priority
            or r.priority = v_ready.priority and r.pos < v_ready.pos) limit 100000) x;
    if v_alive = 0 then
        return format('It is ready in queue %s with %s before it, and no worker is running; start one (howdah worker) or consume it.',
            v_name, howdah.counted(v_ahead, 'job'));
    elsif v_knows = 0 then      -- about to be parked; the answer is the same before and after
        return howdah.why_unknown(i_job.task, null);
    elsif v_serves = 0 then
        return format('It is ready, but of %s running none serves queue %s and knows task %s.',
            howdah.counted(v_alive, 'worker'), v_name, i_job.task);
    end if;
    v_labels := howdah.missing_labels(v_ready.queue, i_job.task, i_now);
    if v_labels is not null then
        return format('It is ready, but it requires %s, and of the workers that serve queue %s and know task %s none has %s.',
            array_to_string(howdah.labels_of(v_ready.queue), ' and '), v_name, i_job.task, v_labels);
    end if;
    return format('It is ready in queue %s with %s before it, served by %s.', v_name,
        howdah.counted(v_ahead, 'job'), howdah.counted(v_serves, 'worker'));
end;
$$;

comment on function howdah.why_ready is 'What keeps a ready job from being claimed.';
