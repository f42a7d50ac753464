-- Prune: finished jobs go once they have been kept long enough, oldest first, in small batches.
--
-- How long: the job's own result_ttl or failure_ttl, else its task's (both written into finished.prune_at when it ends), else
-- its queue's, else 7 days for a success and 30 for the rest. The queue's is looked up when it matters, so that a change holds
-- for what has ended before it, too.
--
-- Jobs are looked through in the order of their end, by one sweep for each time to keep: the own ones, the default, and each
-- time that some queue says. A sweep remembers how far it has come, because what it passes may lie there for long: jobs of
-- other queues, and dead entries that vacuum may not remove while somebody holds an old snapshot. What it has left behind (a
-- job that was locked, one whose transaction took longer than a minute) it finds when it begins anew, once a day.

-- howdah.kept: how long an end is kept where nobody has said it.
create or replace function howdah.kept(i_kind text)
    returns interval
    language sql
    immutable parallel safe
    return case i_kind when 'succeeded' then interval '7 days' when 'other' then interval '30 days' else interval '0' end;

comment on function howdah.kept is 'How long a finished job is kept by default.';


-- howdah.ended: finished jobs of a kind in the order in which they may go: by their own time (own) or by their end.
create or replace function howdah.ended(i_kind text, i_from timestamptz, i_before timestamptz, i_many bigint)
    returns table (place tid, id bigint, at timestamptz)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    set enable_bitmapscan = off     -- it would collect all that is old enough to take the first few
as $$
#variable_conflict use_column
begin
    if i_kind = 'own' then
        return query
            select f.ctid, f.id, f.prune_at from howdah.finished f
             where f.prune_at >= i_from and f.prune_at <= i_before order by f.prune_at limit i_many;
    elsif i_kind = 'succeeded' then
        return query
            select f.ctid, f.id, f.finished_at from howdah.finished f
             where f.prune_at is null and f.state = 'succeeded' and f.finished_at >= i_from and f.finished_at <= i_before
             order by f.finished_at limit i_many;
    else
        return query
            select f.ctid, f.id, f.finished_at from howdah.finished f
             where f.prune_at is null and f.state <> 'succeeded' and f.finished_at >= i_from and f.finished_at <= i_before
             order by f.finished_at limit i_many;
    end if;
end;
$$;

comment on function howdah.ended is 'Finished jobs of a kind, oldest first.';


-- howdah.kept_by_queue: what a finished job's queue says about the time to keep; null: nothing.
create or replace function howdah.kept_by_queue(i_id bigint, i_kind text)
    returns double precision
    language sql
    stable
    return (select case i_kind when 'succeeded' then q.result_ttl else q.failure_ttl end
              from howdah.job j
              left join howdah.task t on t.name = j.task
              join howdah.queue q on q.queue = coalesce(j.queue, t.queue, 'default')
             where j.id = i_id);

comment on function howdah.kept_by_queue is 'How long a queue keeps a finished job of it.';


-- howdah.why_kept: how long a finished job is kept, in words.
create or replace function howdah.why_kept(i_id bigint)
    returns text
    language sql
    stable
    set search_path = pg_catalog, pg_temp
    return (select case when f.prune_at = 'infinity' or k.ttl < 0 then 'for ever'
                        else 'until ' || date_trunc('second', coalesce(f.prune_at,
                                f.finished_at + coalesce(howdah.seconds(k.ttl), howdah.kept(k.kind)))) end
              from howdah.finished f
             cross join lateral (select case f.state when 'succeeded' then 'succeeded' else 'other' end as kind) s
             cross join lateral (select s.kind, case when f.prune_at is null then howdah.kept_by_queue(f.id, s.kind) end as ttl) k
             where f.id = i_id);

comment on function howdah.why_kept is 'How long a finished job is kept, in words.';


-- howdah.prune_some: looks at the next i_many finished jobs, and deletes up to i_limit for which i_ttl is the time to keep.
--
-- Locks: the finished rows it deletes, SKIP LOCKED: one that is retried or deleted at this moment is left alone.
create or replace function howdah.prune_some(
    i_kind text, i_ttl double precision, i_from timestamptz, i_before timestamptz, i_many bigint, i_limit bigint,
    out looked bigint, out reached timestamptz, out pruned bigint)
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    -- no queue says anything about this kind: nothing to tell apart
    v_alone constant boolean := i_kind = 'own' or i_ttl is null and not exists (
        select from howdah.queue q where case i_kind when 'succeeded' then q.result_ttl else q.failure_ttl end is not null);
    v_ids    bigint[];
    v_states howdah.state[];
begin
    with ended as materialized (
        select e.* from howdah.ended(i_kind, i_from, i_before, i_many) e
    ), held as materialized (
        select array(
            select f.ctid from howdah.finished f
             where f.ctid = any (array(
                   select e.place from ended e
                    where v_alone or i_ttl is not distinct from howdah.kept_by_queue(e.id, i_kind) limit i_limit))
               and (f.state <> 'succeeded' or pg_sequence_last_value('howdah.dependencies'::regclass) is null
                    or not howdah.written_here(f.xmin))
               for update skip locked) as places
    ), removed as (
        delete from howdah.finished f where f.ctid = any ((select h.places from held h)::tid[]) returning f.id, f.state
    )
    select (select count(*) from ended), (select max(e.at) from ended e), array(select r.id from removed r order by r.id),
           array(select r.state from removed r order by r.id)
      into looked, reached, v_ids, v_states;
    pruned := cardinality(v_ids);
    if pruned > 0 then
        if pg_sequence_last_value('howdah.dependencies'::regclass) is not null then
            perform howdah.note_pruned(v_ids, v_states, howdah.now());
        end if;
        perform howdah.forget(v_ids);
    end if;
end;
$$;

comment on function howdah.prune_some is 'Prune what is over of the next few finished jobs.';


-- howdah.sweep: goes on with a sweep until i_limit jobs are deleted, i_until has come or the end is reached.
--
-- Locks: the sweep's row, SKIP LOCKED: who does not get it begins at the same place and does not note how far it came.
create or replace function howdah.sweep(
    i_kind text, i_ttl double precision, i_before timestamptz, i_limit bigint, i_until timestamptz, i_whole boolean,
    i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_sweep howdah.sweep;
    v_held  boolean;
    v_anew  boolean;
    v_from  timestamptz := '-infinity';
    v_many  bigint := 1000;
    v_seen  bigint := 0;
    v_count bigint := 0;
    v_some  record;
begin
    select s.* into v_sweep from howdah.sweep s
     where s.kind = i_kind and s.ttl is not distinct from i_ttl for update skip locked;
    v_held := found and not i_whole;
    if not found then
        select s.* into v_sweep from howdah.sweep s where s.kind = i_kind and s.ttl is not distinct from i_ttl;
    end if;
    v_anew := i_whole or v_sweep.began_at is null or v_sweep.began_at not between i_now - interval '1 day' and i_now
        or exists (select from howdah.queue q where q.kept_since >= v_sweep.began_at);
    if not v_anew then
        v_from := v_sweep.reached;
    end if;
    loop
        select * into v_some from howdah.prune_some(i_kind, i_ttl, v_from, i_before, v_many, i_limit - v_count);
        v_seen := v_seen + v_some.looked;
        v_count := v_count + v_some.pruned;
        exit when v_count >= i_limit;           -- there may be more at this place
        if v_some.looked < v_many then
            v_from := greatest(v_from, i_before);
            exit;
        elsif v_some.reached = v_from and v_some.pruned = 0 then
            v_many := 2 * v_many;               -- so many ended in one moment: it must get past them, now
            continue;
        end if;
        v_from := v_some.reached;
        exit when clock_timestamp() >= i_until;
    end loop;
    if v_held then
        perform howdah.note_sweep(v_sweep, v_anew, v_from, v_seen, i_now);
    end if;
    return v_count;
end;
$$;

comment on function howdah.sweep is 'Go on with a sweep through finished jobs.';


-- howdah.note_sweep: how far it came, in steps of ten seconds or a thousand jobs: the row's own dead versions would be the
-- next problem.
--
-- A minute is left for transactions that have ended a job and not yet committed.
create or replace function howdah.note_sweep(
    i_sweep howdah.sweep, i_anew boolean, i_reached timestamptz, i_seen bigint, i_now timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_reached constant timestamptz := least(i_reached, i_now - interval '1 min');
begin
    if i_anew or v_reached >= i_sweep.reached + interval '10 s' or v_reached > i_sweep.reached and i_seen >= 1000 then
        update howdah.sweep s
           set reached = v_reached, began_at = case when i_anew then i_now else s.began_at end
         where s.kind = i_sweep.kind and s.ttl is not distinct from i_sweep.ttl;
    end if;
end;
$$;

comment on function howdah.note_sweep is 'Note how far a sweep came.';


-- howdah.prune: finished ─► gone for up to i_limit jobs, by all sweeps. Each takes a step, however soon i_until comes.
create or replace function howdah.prune(
    i_older_than interval, i_limit bigint, i_until timestamptz, i_whole boolean, i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_kind  text;
    v_ttl   double precision;
    v_count bigint := 0;
begin
    for v_kind, v_ttl in
        select k.kind, null::double precision from unnest(array['own', 'succeeded', 'other']) k (kind)
        union all
        select distinct 'succeeded', q.result_ttl from howdah.queue q where q.result_ttl >= 0
        union all
        select distinct 'other', q.failure_ttl from howdah.queue q where q.failure_ttl >= 0
    loop
        exit when v_count >= i_limit;
        v_count := v_count + howdah.sweep(v_kind, v_ttl,
            i_now - case when v_ttl is not null then howdah.seconds(v_ttl)
                         when v_kind = 'own' then interval '0'
                         else coalesce(i_older_than, howdah.kept(v_kind)) end,
            i_limit - v_count, i_until, i_whole, i_now);
    end loop;
    return v_count;
end;
$$;

comment on function howdah.prune is 'Delete finished jobs that have been kept long enough.';


-- jobs.prune: finished ─► gone, once its time to be kept is over.
create or replace function jobs.prune(i_older_than interval default null, i_limit integer default 10000)
    returns bigint
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now   constant timestamptz := howdah.now();
    v_count bigint;
begin
    if i_limit is null or i_limit not between 1 and 1000000 then
        perform howdah.refuse('limit', 'is out of range', 'Give a number from 1 to 1000000.');
    end if;
    if i_older_than not between interval '0' and interval '1000 years' then
        perform howdah.refuse('older_than', 'is negative or too long', 'Give how long finished jobs are kept.');
    end if;
    v_count := howdah.prune(i_older_than, i_limit, null, false, v_now);
    if v_count = 0 then         -- who asks by hand is not told "none" because of what a sweep has left behind
        v_count := howdah.prune(i_older_than, i_limit, null, true, v_now);
    end if;
    return v_count;
end;
$$;

comment on function jobs.prune is $$Delete finished jobs that have been kept long enough; answers how many.

Successes are kept 7 days, others 30, or i_older_than. A time to keep that the job, its task or its queue names comes first.$$;
