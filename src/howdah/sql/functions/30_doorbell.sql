-- The doorbell: a publish wakes workers that are asleep, and only those.

-- howdah.ring: NOTIFY when a worker of one of these queues (null: of any) sleeps.
--
-- NOTIFY takes a global lock at commit, so a busy system must never ring. A look taken above READ COMMITTED may be
-- older than a worker's declaration: there it always rings.
create or replace function howdah.ring(i_queues text[])
    returns void
    language plpgsql
as $$
begin
    if exists (select from howdah.sleeper s where i_queues is null or s.queues is null or s.queues && i_queues)
       or current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        perform pg_notify('howdah', '');
    end if;
end;
$$;

comment on function howdah.ring is 'Wake the workers asleep on these queues.';


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
