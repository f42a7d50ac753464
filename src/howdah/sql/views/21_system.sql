-- What the engine knows about tasks, queues and workers.

create or replace view jobs.tasks as
select t.name as task, t.queue, t.timeout, t.max_retries, t.priority, t.backoff, t.ttl, t.result_ttl, t.failure_ttl,
       t.signature, t.registered_at, t.changed_at, t.requires,
       (select count(*) from howdah.worker w
         where t.name = any (w.tasks) or t.name like any (w.patterns)) as workers
  from howdah.task t;

comment on view jobs.tasks is 'Tasks that workers have registered, with their options and how many live workers know them.';


create or replace view jobs.queues as
with jobs_of as (
    select howdah.queue_of(r.queue) as queue, r.jobs as ready, 0::bigint as running, 0::bigint as waiting
      from (select x.queue, count(*) as jobs from howdah.ready x group by x.queue) r
    union all
    select coalesce(j.queue, t.queue, 'default'), 0,
           count(*) filter (where c.state = 'running'), count(*) filter (where c.state <> 'running')
      from howdah.current c join howdah.job j on j.id = c.id left join howdah.task t on t.name = j.task
     group by 1
    union all
    select q.queue, 0, 0, 0 from howdah.queue q
)
select o.queue, sum(o.ready)::bigint as ready, sum(o.running)::bigint as running, sum(o.waiting)::bigint as waiting,
       max(q.paused_at) as paused_at, max(q.reason) as reason, max(q.result_ttl) as result_ttl,
       max(q.failure_ttl) as failure_ttl, max(q.ageing) as ageing
  from jobs_of o
  left join howdah.queue q on q.queue = o.queue
 group by o.queue;

comment on view jobs.queues is 'Queues that hold unfinished jobs or have been set; waiting counts scheduled and blocked jobs.';


create or replace view jobs.workers as
select w.id as worker_id, w.name, w.host, w.pid, w.queues, w.topic, cardinality(w.tasks) as tasks, w.allow,
       w.started_at, b.beat_at, w.lease,
       b.beat_at + howdah.seconds(w.lease) > howdah.now() as alive, w.labels,
       (select count(*) from howdah.running r where r.worker_id = w.id) as running,
       exists (select from howdah.sleeper s where s.worker_id = w.id and s.state <> 'up') as asleep
  from howdah.worker w
  join howdah.beat b on b.worker_id = w.id;

comment on view jobs.workers is 'Registered workers; one that has missed its lease is not alive and will be rescued.';


create or replace view jobs.limits as
select l.kind, l.name, l.max_running, l.rate, make_interval(secs => l.per) as per,
       l.used - (select coalesce(sum(f.slots), 0) from howdah.freed f where f.limit_id = l.id) as slots_taken,
       (select count(*) from howdah.blocked b where b.kind = 'limit' and b.limit_id = l.id) as waiting,
       l.opens_at, l.by_hand
  from howdah.limits l;

comment on view jobs.limits is $$Limits of queues and tasks, and of the concurrency keys in use; by_hand: set, not said by jobs.

waiting: jobs that the limit holds back; those of a full queue stay ready.$$;
