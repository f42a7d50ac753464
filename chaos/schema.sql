-- The audit: what happened to every job, written in the same transaction, hence exactly the committed history.
create schema chaos;

create table chaos.move (
    seq     bigint generated always as identity primary key,
    at      timestamptz not null default clock_timestamp(),
    began   timestamptz not null default transaction_timestamp(),
    xid     text not null default pg_current_xact_id()::text,
    job     bigint not null,
    place   text not null,          -- the table
    verb    text not null,          -- in, out, changed
    run     bigint,
    worker  bigint,
    attempt integer,
    state   text,
    due     timestamptz,
    queue   text
);

create table chaos.life (
    seq    bigint generated always as identity primary key,
    at     timestamptz not null default clock_timestamp(),
    worker bigint not null,
    verb   text not null,           -- in, out
    pid    integer,
    lease  double precision
);

create table chaos.beat (
    worker bigint not null,
    at     timestamptz not null
);

-- What tasks write with ctx.connection. No unique key: a double effect shall be seen.
create table chaos.effect (
    job   bigint not null,
    run   bigint not null,
    token text not null
);

-- What a job with a unique key carries from then on: others replace it or add to it. Numbered as moves are, so that it
-- is known which of both came first; `asked`: when the statement began.
create table chaos.body (
    seq          bigint primary key default nextval(pg_get_serial_sequence('chaos.move', 'seq')),
    at           timestamptz not null default clock_timestamp(),
    asked        timestamptz not null default statement_timestamp(),
    xid          text not null default pg_current_xact_id()::text,
    job          bigint not null,
    created      boolean not null,
    unique_key   text not null,
    unique_until text not null,     -- waiting, started, finished
    kwargs       jsonb not null,
    queue        text not null,
    slot_key     text,
    slots        integer
);

create function chaos.note()
    returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_old jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
    v_new jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
    v_row jsonb := coalesce(v_new, v_old);
begin
    if tg_op = 'UPDATE'
       and (v_old -> 'id', v_old -> 'run_id', v_old -> 'worker_id', v_old -> 'attempt', v_old -> 'state', v_old -> 'result')
           is not distinct from
           (v_new -> 'id', v_new -> 'run_id', v_new -> 'worker_id', v_new -> 'attempt', v_new -> 'state', v_new -> 'result') then
        return null;
    end if;
    insert into chaos.move (job, place, verb, run, worker, attempt, state, due, queue)
    values ((v_row ->> 'id')::bigint, tg_table_name,
            case tg_op when 'INSERT' then 'in' when 'DELETE' then 'out' else 'changed' end,
            (v_row ->> 'run_id')::bigint, (v_row ->> 'worker_id')::bigint, (v_row ->> 'attempt')::integer,
            v_row ->> 'state', (v_row ->> 'run_at')::timestamptz,
            split_part(split_part(v_row ->> 'queue', '+', 1), '/', 1));     -- where it lies is a lane of the queue
    return null;
end;
$$;

create trigger chaos_note after insert or update or delete on howdah.scheduled for each row execute function chaos.note();
create trigger chaos_note after insert or update or delete on howdah.blocked for each row execute function chaos.note();
create trigger chaos_note after insert or update or delete on howdah.ready for each row execute function chaos.note();
create trigger chaos_note after insert or update or delete on howdah.running for each row execute function chaos.note();
create trigger chaos_note after insert or update or delete on howdah.finished for each row execute function chaos.note();

create function chaos.note_body()
    returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    insert into chaos.body (job, created, unique_key, unique_until, kwargs, queue, slot_key, slots)
    values (new.id, tg_op = 'INSERT', new.unique_key, new.unique_until, new.body -> 'kwargs', coalesce(new.queue, 'default'),
            new.concurrency_key, new.concurrency_limit);
    return null;
end;
$$;

create trigger chaos_note after insert or update of body on howdah.job for each row when (new.unique_key is not null)
    execute function chaos.note_body();

create function chaos.note_life()
    returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into chaos.life (worker, verb, pid, lease) values (new.id, 'in', new.pid, new.lease);
    else
        insert into chaos.life (worker, verb, pid, lease) values (old.id, 'out', old.pid, old.lease);
    end if;
    return null;
end;
$$;

create trigger chaos_note after insert or delete on howdah.worker for each row execute function chaos.note_life();

create function chaos.note_beat()
    returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    insert into chaos.beat (worker, at) values (new.worker_id, new.beat_at);
    return null;
end;
$$;

create trigger chaos_note after insert or update on howdah.beat for each row execute function chaos.note_beat();

-- Stale runs for zombies: the newest ones that have ended.
create function chaos.ended_runs(i_number integer)
    returns table (job bigint, run bigint)
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
    select m.job, m.run from chaos.move m where m.place = 'running' and m.verb = 'out' order by m.seq desc limit i_number;
$$;
create index move_ended on chaos.move (seq) where place = 'running' and verb = 'out';

-- Every process but the harness logs in as this ordinary user.
do $$
begin
    if not exists (select from pg_roles where rolname = 'chaos_client') then
        create role chaos_client login password 'chaos';
    end if;
end;
$$;
grant howdah_publisher, howdah_worker, howdah_operator, howdah_monitor to chaos_client;
grant usage on schema chaos to chaos_client;
grant insert, select on chaos.effect to chaos_client;
grant execute on function chaos.ended_runs to chaos_client;

-- Takes all connections that are left for ordinary users.
do $$
begin
    if not exists (select from pg_roles where rolname = 'chaos_hog') then
        create role chaos_hog login password 'chaos';
    end if;
end;
$$;
