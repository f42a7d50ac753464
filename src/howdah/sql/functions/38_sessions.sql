-- Sessions: a worker's session lock, by which the death of a whole machine is seen within seconds.

-- jobs.session_started: ties a worker's life to this session, whose end everybody can see within a second.
--
-- Behind a transaction pooler a session is nobody's own: there the client is told the process id of no backend, or of
-- another one, and the lease alone says who lives. Locks: a session lock on the worker's number.
create or replace function jobs.session_started(i_worker_id bigint, i_backend_pid integer)
    returns boolean
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_own constant boolean := coalesce(i_backend_pid = pg_backend_pid(), false);
begin
    perform howdah.hold_worker(i_worker_id);
    if v_own then
        perform pg_advisory_unlock_all();       -- of a number that it had before
        perform pg_advisory_lock_shared(48179, (i_worker_id % 2147483647)::integer);
    end if;
    update howdah.worker w set tied = v_own, missing_since = null
     where w.id = i_worker_id and (w.tied <> v_own or w.missing_since is not null);
    return v_own;
end;
$$;

comment on function jobs.session_started is $$Tie a worker's life to this session; false when the session is not its own, as behind a pooler.

i_backend_pid is what the server told the client when it connected. When the session has ended and no other was tied, the worker's
runs are handed back within about a second instead of at the end of its lease. Call it once on each new connection of the
heartbeat. Raises JB007.$$;


-- howdah.note_missing: notes which tied workers hold no session, and forgets it of those who do again.
--
-- Not while the server has just come back: then all have lost theirs. Locks: their rows, SKIP LOCKED.
create or replace function howdah.note_missing(i_now timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_there bigint[];
begin
    if not exists (select from howdah.worker w where w.tied) or howdah.up_for() < interval '5 s' then
        return;
    end if;
    v_there := array(
        select l.objid::bigint from pg_locks l
         where l.locktype = 'advisory' and l.classid = 48179 and l.objsubid = 2 and l.granted
           and l.database = (select d.oid from pg_database d where d.datname = current_database()));
    update howdah.worker w
       set missing_since = case when w.missing_since is null then i_now end
     where w.ctid = any (array(
           select x.ctid from howdah.worker x
            where x.tied and (x.missing_since is null) = (x.id % 2147483647 <> all (v_there)) for update skip locked));
end;
$$;

comment on function howdah.note_missing is 'Note which workers have lost their sessions.';


-- howdah.has_gone: whether a worker has lost its session and has not been heard of since somebody noticed that.
--
-- A lost session alone is no death: a live worker comes back at once, and beats.
create or replace function howdah.has_gone(i_worker howdah.worker, i_beat_at timestamptz, i_now timestamptz)
    returns boolean
    language sql
    immutable parallel safe
    return coalesce(i_worker.tied and i_beat_at < i_worker.missing_since
                    and i_worker.missing_since + interval '0.4 s' <= i_now, false);

comment on function howdah.has_gone is 'Whether a worker has died with its session.';
