-- The ground of the pair tests: one job `k` in queue `q`, one worker, brought into any state in one round trip.
create schema race;

-- What the calls refer to; written by reset, so that a call's text is always the same.
create table race.target (
    only_row  boolean primary key default true check (only_row),
    job_id    bigint,
    run_id    bigint,
    worker_id bigint
);

create function race.run() returns bigint language sql stable as 'select t.run_id from race.target t';
create function race.worker() returns bigint language sql stable as 'select t.worker_id from race.target t';

-- The worker, after making the next tick due at once: otherwise the chores of an exchange depend on the time of day.
create function race.eager_worker() returns bigint language sql volatile as $$
    select setval('howdah.last_tick', 0);
    select t.worker_id from race.target t;
$$;

create function race.outcomes(i_verb text) returns jsonb language sql stable as $$
    select jsonb_build_array(jsonb_build_array(t.job_id, coalesce(t.run_id, 0), i_verb, 1)) from race.target t;
$$;

create function race.clear() returns void language plpgsql as $$
begin
    delete from howdah.job;       delete from howdah.scheduled; delete from howdah.blocked;
    delete from howdah.ready;     delete from howdah.running;   delete from howdah.finished;
    delete from howdah.failure;   delete from howdah.expiry;    delete from howdah.notice;
    delete from howdah.lane;      delete from howdah.hole;      delete from howdah.queue;
    delete from howdah.task;      delete from howdah.worker;    delete from howdah.beat;
    delete from howdah.sleeper;   delete from race.target;
    delete from howdah.suspect;   delete from howdah.edge;      delete from howdah.ended;
    delete from howdah.limits;    delete from howdah.freed;     delete from howdah.start;
    delete from howdah.unique_key;
    update howdah.sweep set reached = '-infinity', began_at = '-infinity';
    perform setval('howdah.last_stray_check', 0);
    perform setval('howdah.search_scheduled', 0), setval('howdah.search_expiry', 0);
    perform setval('howdah.search_ended', 0), setval('howdah.settled_to', 0);
    perform setval('howdah.controls', 0, false), setval('howdah.turn', 0, false);
    perform setval('howdah.search_unique', 0), setval('howdah.unique_tasks', 0);
    perform setval('howdah.search_deadline', 0), setval('howdah.search_overdue', 0);
end;
$$;

create function race.reset(i_state text) returns void language plpgsql as $$
declare
    v_now    constant timestamptz := clock_timestamp();
    v_worker bigint;
    v_id     bigint;
begin
    perform race.clear();
    v_worker := jobs.worker_started('w', '[{"name": "demo.task"}]', i_labels => array['gpu']);
    if i_state in ('waiting', 'told') then      -- for a job that is due later, or has just succeeded
        perform jobs.publish('other.task', i_key => 'p', i_delay => 3600);
    end if;
    v_id := (jobs.publish(case i_state when 'blocked' then 'other.task' else 'demo.task' end, i_key => 'k', i_queue => 'q',
        i_tenant => case when i_state = 'ready_tenant' then 'one' end, i_requires => case when i_state = 'ready_tenant' then array['gpu'] end,
        i_delay => case when i_state in ('scheduled', 'due') then 3600 end,
        i_ttl => case when i_state = 'outlived' then 3600 end, i_unique_key => 'u',
        i_concurrency_key => case when i_state = 'slotted' then 's' end,
        i_depends_on => case when i_state in ('waiting', 'told') then '{p}'::text[] end)).id;
    insert into howdah.lane (queue, priority, moved_at) values ('q', 0, v_now);
    case i_state
        when 'ready', 'ready_tenant', 'scheduled', 'waiting' then null;
        when 'told' then
            perform jobs.cancel('p');
        when 'running_plain' then
            perform jobs.consume(1);
        when 'slotted' then                     -- it has the only slot of its key, for which another job waits
            perform jobs.consume(1);
            perform jobs.publish('demo.task', i_key => 'm', i_queue => 'q', i_concurrency_key => 's');
            perform jobs.consume(1);
        when 'running_worker' then
            perform jobs.exchange(v_worker, null, 1);
        when 'due' then
            update howdah.scheduled set run_at = v_now - interval '1 min';
        when 'blocked' then
            delete from howdah.ready;
            insert into howdah.blocked (id, kind, task, attempt, blocked_at) values (v_id, 'task', 'other.task', 0, v_now);
        when 'finished' then
            perform jobs.consume(1);
            perform jobs.nack('k', 'Error: no', i_final => true);
            update howdah.finished set started_at = v_now - interval '50 days', finished_at = v_now - interval '40 days';
        when 'overdue' then
            perform jobs.consume(1);
            update howdah.running set started_at = v_now - interval '2 min', deadline = v_now - interval '1 min';
        when 'orphaned' then
            perform jobs.exchange(v_worker, null, 1);
            update howdah.beat set beat_at = v_now - interval '1 hour';
        when 'asked' then
            perform jobs.consume(1);
            perform jobs.cancel('k');
        when 'outlived' then
            update howdah.job set expires_at = v_now - interval '1 min';
            update howdah.expiry set expires_at = v_now - interval '1 min';
    end case;
    insert into race.target (job_id, run_id, worker_id)
    values (v_id, (select r.run_id from howdah.running r), v_worker);
end;
$$;

-- Per job its place, attempts and kind; per table its number of rows. Neither ids nor times.
create function race.observe() returns jsonb language plpgsql as $$
begin
    perform howdah.adopt_known(howdah.now());   -- a worker's start leaves locked rows to the next chores
    perform howdah.settle(howdah.now(), 1000, true, true);      -- so does whoever ends a job
    return jsonb_build_object(
        'jobs', (
            select jsonb_agg(jsonb_build_array(coalesce(j.key, '-'), l.state, l.attempt, l.kind) order by j.key, l.state, l.attempt)
              from howdah.job j
              left join (
                    select id, 'scheduled' as state, attempt, null as kind from howdah.scheduled
                    union all select id, 'blocked', attempt, kind from howdah.blocked
                    union all select id, 'ready', attempt, null from howdah.ready
                    union all select id, case when worker_id is null then 'running_plain' else 'running_worker' end,
                                     attempt, null from howdah.running
                    union all select id, state::text, attempt, kind from howdah.finished) l on l.id = j.id),
        'rows', jsonb_build_object(
            'job', (select count(*) from howdah.job), 'failure', (select count(*) from howdah.failure),
            'expiry', (select count(*) from howdah.expiry), 'notice', (select count(*) from howdah.notice),
            'edge', (select count(*) from howdah.edge), 'ended', (select count(*) from howdah.ended),
            'queue', (select count(*) from howdah.queue), 'task', (select count(*) from howdah.task),
            'worker', (select count(*) from howdah.worker), 'beat', (select count(*) from howdah.beat),
            'states', (select count(*) from howdah.lying), 'sleeper', (select count(*) from howdah.sleeper)));
end;
$$;
