-- The doorbell: a publish wakes workers that are asleep, only those that can do the job, and only a few of them.
--
-- Workers with the same filters are of one kind (howdah.worker.kind). Of each kind one or two sleepers lie in front: they
-- are the only ones that a publisher sees. Whoever is woken and has no slot left wakes the next one. So a publish reads a
-- handful of rows however many sleep, writes none, and a kind of which somebody is up anyway needs no bell at all.
-- Each worker listens to a channel of its own, howdah_<number>; everybody listens to howdah.

-- howdah.ring: NOTIFY sleepers in front that can do these jobs; the n-th lane goes with the n-th task. Null queues: of any
-- queue; null tasks: any task. At most i_most for each queue and task.
--
-- NOTIFY takes a global lock at commit, so a busy system must never ring. A look taken above READ COMMITTED may be
-- older than a worker's declaration: there it always rings, for everybody.
create or replace function howdah.ring(i_queues text[], i_tasks text[] default null, i_most integer default 2)
    returns void
    language plpgsql
as $$
begin
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        perform pg_notify('howdah', '');
    elsif exists (select from howdah.sleeper s where s.state = 'front') then
        perform pg_notify('howdah_' || c.worker_id, '') from howdah.choose(i_queues, i_tasks, i_most) c (worker_id);
    end if;
end;
$$;

comment on function howdah.ring is 'Wake a few of the workers asleep that can do such jobs.';


-- howdah.rings_for: how many of those in front to ring for so many jobs of one queue and task, when there are several kinds.
create or replace function howdah.rings_for(i_jobs bigint)
    returns integer
    language sql
    immutable
    return case when i_jobs < 3 then 2 else 16 end;

comment on function howdah.rings_for is 'How many sleepers in front to ring.';


-- howdah.ring_for: the same for jobs just published; which queues and tasks these are is looked up only when somebody sleeps.
create or replace function howdah.ring_for(i_ids bigint[])
    returns void
    language plpgsql
as $$
declare
    v_queues text[];
    v_tasks  text[];
begin
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        perform pg_notify('howdah', '');
    elsif exists (select from howdah.sleeper s where s.state = 'front') then
        select array_agg(d.queue), array_agg(d.task) into v_queues, v_tasks
          from (select distinct howdah.lane_of(j.queue, j.tenant, j.requires) as queue, j.task from howdah.job j
                 where j.id = any (i_ids)) d;
        perform howdah.ring(v_queues, v_tasks, howdah.rings_for(cardinality(i_ids)));
    end if;
end;
$$;

comment on function howdah.ring_for is 'Wake a few of the workers asleep that can do these jobs.';


-- howdah.choose: sleepers in front that can do these jobs, those that have beaten lately first, else at random.
create or replace function howdah.choose(i_queues text[], i_tasks text[], i_most integer)
    returns setof bigint
    language sql
    volatile
as $$
    select distinct c.worker_id
      from unnest(coalesce(i_queues, array[null::text]), i_tasks) p (queue, task)
     cross join lateral (
            select s.worker_id
              from howdah.sleeper s
              join howdah.worker w on w.id = s.worker_id
              join howdah.beat b on b.worker_id = s.worker_id
             where s.state = 'front'
               and (p.queue is null or w.queues is null or howdah.queue_of(p.queue) = any (w.queues))
               and (howdah.labels_of(p.queue) is null or howdah.labels_of(p.queue) <@ w.labels)
               and (p.task is null
                    or (w.topic is null or p.task like howdah.topic_pattern(w.topic))
                       and (p.task = any (w.tasks) or p.task like any (w.patterns)))
             order by b.beat_at + howdah.seconds(w.lease / 2) < howdah.now(), random()
             limit i_most) c;
$$;

comment on function howdah.choose is 'Sleepers in front that can do such jobs.';


-- howdah.publishers_in_flight: who has drawn a position and not ended yet.
--
-- nextval takes RowExclusiveLock on the sequence before it draws and keeps it until its transaction ends, prepared
-- transactions included; so these locks are an exact registry, which no snapshot is.
create or replace function howdah.publishers_in_flight()
    returns text[]
    language sql
    volatile
as $$
    select coalesce(array_agg(l.virtualtransaction), '{}')
      from pg_locks l
     where l.locktype = 'relation'
       and l.database = (select d.oid from pg_database d where d.datname = current_database())
       and l.relation = 'howdah.position_seq'::regclass
       and l.mode = 'RowExclusiveLock'
       and l.pid is distinct from pg_backend_pid();
$$;

comment on function howdah.publishers_in_flight is 'Virtual transactions that hold a position not yet committed.';


-- howdah.be_in_flight: whoever rings without having drawn a position joins the registry of those in flight, before it
-- looks for sleepers: a worker that lies down meanwhile must know that something is on its way.
create or replace function howdah.be_in_flight()
    returns void
    language plpgsql
as $$
begin
    perform nextval('howdah.position_seq');
end;
$$;

comment on function howdah.be_in_flight is 'Draw a position for its lock only.';
