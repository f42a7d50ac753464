-- The lives of the server. A crash may lose the end of what was not flushed, a failover the end of what was not replicated;
-- sequences go back with it. Numbers that were told to somebody would then be given a second time: a run of the old life
-- could finish a run of the new one, a worker could beat for another, a job's number could mean another job. So the first
-- to claim or register in a new life moves the sequences on, beyond anything that may have been lost.

-- howdah.live: looks whether a new life has begun and makes its numbers new; answers the life. Before every claim.
--
-- An unlogged sequence remembers: the migration fills it, a clean restart keeps it, a crash and a promotion empty it. Not
-- read by a subquery, which costs ten times as much.
create or replace function howdah.live()
    returns bigint
    language plpgsql
as $$
begin
    if pg_sequence_last_value('howdah.life'::regclass) is null then
        perform howdah.begin_life();
    end if;
    return pg_sequence_last_value('howdah.life'::regclass);
end;
$$;

comment on function howdah.live is 'Make the numbers of a new life new; answers the life.';


-- howdah.begin_life: moves the sequences on, once in a life.
--
-- Locks: a session lock, taken and let go in here: what it guards is visible at once, and a lock until the end of a
-- caller's long transaction would stop every claim. By 10⁹ and as much again at random, so that two servers that were
-- promoted one after the other, neither knowing of the other's life, go different ways.
create or replace function howdah.begin_life()
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_advisory_lock(48178, 1);
    begin
        if pg_sequence_last_value('howdah.life'::regclass) is null then
            perform setval('howdah.run_seq', nextval('howdah.run_seq') + howdah.leap(1000000000));
            perform setval('howdah.worker_seq', nextval('howdah.worker_seq') + howdah.leap(1000000000));
            perform setval('howdah.position_seq', nextval('howdah.position_seq') + howdah.leap(100000000));
            perform setval('howdah.life', howdah.leap(1000000000000));
        end if;
    exception when query_canceled or others then
        perform pg_advisory_unlock(48178, 1);
        raise;
    end;
    perform pg_advisory_unlock(48178, 1);
end;
$$;

comment on function howdah.begin_life is 'Move the sequences beyond what an earlier life may have given away.';


-- howdah.leap: at least so much, at most twice.
create or replace function howdah.leap(i_least bigint)
    returns bigint
    language sql
    volatile
    return i_least + floor(random() * i_least)::bigint;

comment on function howdah.leap is 'A step forward whose length is not known beforehand.';


-- howdah.judged_from: workers whose leases ended before this moment may be declared dead now.
--
-- When nobody has looked for 5 s, the server may have been away or out of reach, and every worker with it: the first to
-- come back must not bury the others, who come back within a second. So they get 3 s from then on; but those who were
-- late already when somebody looked before, and have been given their 3 s since, get no more: a consumer that comes once
-- an hour finds them dead the second time.
create or replace function howdah.judged_from(i_now timestamptz)
    returns timestamptz
    language plpgsql
as $$
declare
    v_now   constant bigint := howdah.milliseconds();
    v_last  constant bigint := pg_sequence_last_value('howdah.last_rescue'::regclass);
    v_since constant bigint := coalesce(pg_sequence_last_value('howdah.rescuing_since'::regclass), 0);
begin
    if v_last is null or not v_now - v_last between 0 and 1000 then
        perform setval('howdah.last_rescue', v_now);
    end if;
    if v_now - v_last > 5000 then
        perform setval('howdah.rescuing_since', v_now);
        return case when v_now - v_since > 3000 then least(to_timestamp(v_since / 1000.0), i_now) else '-infinity' end;
    end if;
    return case when v_now - v_since between 0 and 3000 then '-infinity' else i_now end;
end;
$$;

comment on function howdah.judged_from is 'Before which moment a lease must have ended for its worker to be dead.';
