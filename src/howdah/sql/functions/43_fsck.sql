-- fsck: one row per violation of what must always hold. Each part is one look in one snapshot, so that a live system shows none.

-- howdah.lying: every place where a job's number lies.
create or replace view howdah.lying as
select id, 'scheduled' as place from howdah.scheduled
union all select id, 'blocked' from howdah.blocked
union all select id, 'ready' from howdah.ready
union all select id, 'running' from howdah.running
union all select id, 'finished' from howdah.finished;

comment on view howdah.lying is 'Every state row of every job.';


-- A job lies in exactly one place, and whatever lies there is a job.
create or replace function howdah.fsck_states()
    returns table (violation text, job_id bigint, detail text)
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    with place as materialized (
        select j.id, j.key, l.places, l.state_id
          from howdah.job j
          full join (select id as state_id, array_agg(place order by place) as places from howdah.lying group by id) l
            on l.state_id = j.id
    )
    select 'job without a state', p.id, null from place p where p.places is null
    union all
    select 'state without a job', p.state_id, array_to_string(p.places, ', ') from place p where p.id is null
    union all
    select 'job in two states', p.id, array_to_string(p.places, ', ') from place p where cardinality(p.places) > 1
    union all
    select 'failure without a job', f.job_id, 'run ' || f.run_id from howdah.failure f
     where not exists (select from howdah.job j where j.id = f.job_id)
    union all
    select 'log without a job', l.job_id, count(*) || ' lines' from howdah.log l
     where not exists (select from howdah.job j where j.id = l.job_id) group by l.job_id
    union all
    select 'time to live without a job', e.id, null from howdah.expiry e
     where e.expires_at > howdah.now() and not exists (select from howdah.job j where j.id = e.id)
    union all
    select 'key used twice', min(j.id), j.key from howdah.job j where j.key is not null group by j.key having count(*) > 1;
$$;

comment on function howdah.fsck_states is 'Violations of: one job, one state.';


-- What ready rows say agrees with their jobs, and no floor hides one.
create or replace function howdah.fsck_ready()
    returns table (violation text, job_id bigint, detail text)
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select 'ready under another task', r.id, r.task from howdah.ready r join howdah.job j on j.id = r.id where r.task <> j.task
    union all
    select 'ready in another queue', r.id, r.queue from howdah.ready r join howdah.job j on j.id = r.id
     where howdah.queue_of(r.queue) <> j.queue
    union all
    select 'ready in the lane of another tenant', r.id, r.queue from howdah.ready r join howdah.job j on j.id = r.id
     where howdah.tenant_of(r.queue) is distinct from j.tenant
    union all
    select 'ready in a lane of other labels', r.id, r.queue from howdah.ready r join howdah.job j on j.id = r.id
     where coalesce(howdah.labels_of(r.queue), '{}') <> j.requires
    union all
    select 'tenant or labels that claims do not heed', r.id, r.queue from howdah.ready r
     where r.queue ~ '[/+]' and not coalesce(pg_sequence_last_value('howdah.controls'::regclass) > 0, false)
    union all
    select 'ready at another priority', r.id, r.priority::text
      from howdah.ready r join howdah.job j on j.id = r.id where r.priority <> j.priority
    union all
    select 'ready at a position never drawn', r.id, r.pos::text
      from howdah.ready r where r.pos > (select case when is_called then last_value else 0 end from howdah.position_seq)
    union all
    select 'ready behind its floor', r.id, format('position %s, floor %s', r.pos, l.floor)
      from howdah.ready r join howdah.lane l on l.queue = r.queue and l.priority = r.priority
     where r.pos <= l.floor and not exists (select from howdah.hole h where h.low < r.pos)
    union all
    select 'floor above what is settled', null, format('%s %s: %s', l.queue, l.priority, l.floor)
      from howdah.lane l where l.floor > (select settled from howdah.settle)
                                         and not exists (select from howdah.hole)
    union all
    select 'settled beyond what was drawn', null, s.settled::text from howdah.settle s
     where greatest(s.settled, s.candidate) > (select case when is_called then last_value else 0 end from howdah.position_seq)
    union all
    select 'the position sequence is cached', null, 'cache ' || q.cache_size from pg_sequences q
     where q.schemaname = 'howdah' and q.sequencename = 'position_seq' and q.cache_size <> 1;
$$;

comment on function howdah.fsck_ready is 'Violations among ready jobs and of the claim cursor.';


-- A run number is drawn once, belongs to one job, and counts its attempts.
create or replace function howdah.fsck_runs()
    returns table (violation text, job_id bigint, detail text)
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select 'run number used twice', min(x.id), x.run_id::text
      from (select id, run_id from howdah.running union all
            select id, run_id from howdah.finished where run_id is not null) x
     group by x.run_id having count(*) > 1
    union all
    select 'run number never drawn', r.id, r.run_id::text from howdah.running r
     where r.run_id > (select case when is_called then last_value else 0 end from howdah.run_seq)
    union all
    select 'failure of a run of another job', f.job_id, f.run_id::text from howdah.failure f
      join howdah.running r on r.run_id = f.run_id where r.id <> f.job_id
    union all
    select 'running for an unknown worker', r.id, 'worker ' || r.worker_id from howdah.running r
     where r.worker_id is not null and not exists (select from howdah.worker w where w.id = r.worker_id)
    union all
    select 'more attempts than allowed', x.id, x.attempt::text
      from (select id, attempt from howdah.running union all select id, attempt + 1 from howdah.ready
            union all select id, attempt + 1 from howdah.scheduled union all select id, attempt from howdah.finished) x
      join howdah.job j on j.id = x.id
     where x.attempt > coalesce(j.max_retries, 3) + 1
       -- a task's own number may have been lowered after these attempts were made
       and (j.max_retries is not null or not exists (select from howdah.task t where t.name = j.task))
    union all
    select 'negative attempts', x.id, x.attempt::text
      from (select id, attempt - 1 as attempt from howdah.running union all select id, attempt from howdah.ready
            union all select id, attempt from howdah.scheduled union all select id, attempt from howdah.blocked) x
     where x.attempt < 0
    union all
    select 'deadline before start', r.id, r.deadline::text from howdah.running r where r.deadline < r.started_at;
$$;

comment on function howdah.fsck_runs is 'Violations among runs.';


-- Endings carry what their state demands; what waits or beats belongs to something.
create or replace function howdah.fsck_rest()
    returns table (violation text, job_id bigint, detail text)
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select 'succeeded with a kind', f.id, f.kind from howdah.finished f where f.state = 'succeeded' and f.kind is not null
    union all
    select 'succeeded without a run', f.id, null from howdah.finished f where f.state = 'succeeded' and f.run_id is null
    union all
    select 'ended without a kind', f.id, f.state::text from howdah.finished f where f.state <> 'succeeded' and f.kind is null
    union all
    select 'result of a job that did not succeed', f.id, f.state::text from howdah.finished f
     where f.state <> 'succeeded' and f.result is not null
    union all
    select 'ended before it started', f.id, f.finished_at::text from howdah.finished f where f.finished_at < f.started_at
    union all
    select 'parked although a worker knows its task', b.id, b.task from howdah.blocked b
     where b.kind = 'task' and b.reason is null and b.blocked_at < howdah.now() - interval '1 min'
       and exists (select from howdah.worker w where w.started_at < howdah.now() - interval '1 min'
                      and (b.task = any (w.tasks) or b.task like any (w.patterns)))
    union all
    select 'waits for a process of its own without being a suspect', b.id, b.task from howdah.blocked b
     where b.kind = 'alone' and not exists (select from howdah.suspect s where s.id = b.id)
    union all
    select 'suspect whose worker never died', s.id, howdah.deaths(s.id) || ' deaths' from howdah.suspect s
     where howdah.deaths(s.id) < 2 and exists (select from howdah.job j where j.id = s.id)
    union all
    select 'time to keep without a sweep', null, x.kind || ' ' || x.ttl
      from (select distinct 'succeeded' as kind, q.result_ttl as ttl from howdah.queue q where q.result_ttl >= 0
            union all
            select distinct 'other', q.failure_ttl from howdah.queue q where q.failure_ttl >= 0) x
     where not exists (select from howdah.sweep s where s.kind = x.kind and s.ttl = x.ttl)
    union all
    select 'waits for a negative number of jobs', b.id, b.pending::text from howdah.blocked b where b.pending < 0
    union all
    select 'notice for a run that ended', n.id, 'run ' || n.run_id from howdah.notice n
     where n.verdict = 'cancel' and not exists (select from howdah.running r where r.id = n.id and r.run_id = n.run_id)
    union all
    select 'worker without a beat', null, 'worker ' || w.id from howdah.worker w
     where not exists (select from howdah.beat b where b.worker_id = w.id)
    union all
    select 'beat without a worker', null, 'worker ' || b.worker_id from howdah.beat b
     where not exists (select from howdah.worker w where w.id = b.worker_id)
    union all
    select 'sleeper without a worker', null, 'worker ' || s.worker_id from howdah.sleeper s
     where not exists (select from howdah.worker w where w.id = s.worker_id);
$$;

comment on function howdah.fsck_rest is 'Violations among endings, parked jobs, notices and workers.';


-- jobs.fsck: everything at once.
create or replace function jobs.fsck()
    returns table (violation text, job_id text, detail text)
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query
        select f.violation, howdah.public_id(f.job_id, (select j.key from howdah.job j where j.id = f.job_id limit 1)), f.detail
          from (select * from howdah.fsck_states() union all select * from howdah.fsck_ready()
                union all select * from howdah.fsck_runs() union all select * from howdah.fsck_limits()
                union all select * from howdah.fsck_rest() union all select * from howdah.fsck_edges()
                union all select * from howdah.fsck_unique()) f;
end;
$$;

comment on function jobs.fsck is 'One row per violation of an invariant; no row means that all is well.';
