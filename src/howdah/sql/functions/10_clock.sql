-- howdah.now: the one clock. Every function reads it once; nothing else decides about time.
create or replace function howdah.now()
    returns timestamptz
    language sql
    stable parallel safe
    return clock_timestamp();

comment on function howdah.now is 'The database clock, read anew at each call.';


-- howdah.milliseconds: the real clock as a number, for the registers that pace ticks.
create or replace function howdah.milliseconds()
    returns bigint
    language sql
    volatile
    return (extract(epoch from clock_timestamp()) * 1000)::bigint;

comment on function howdah.milliseconds is 'Milliseconds since 1970 by the real clock.';


-- howdah.seconds: a number of seconds as an interval, at most 100 years either way: no client reads a year before 1.
create or replace function howdah.seconds(i_seconds double precision)
    returns interval
    language sql
    immutable strict parallel safe
    return make_interval(secs => greatest(least(i_seconds, 3155760000), -3155760000));

comment on function howdah.seconds is 'Seconds as an interval, at most 100 years.';


-- howdah.up_for: how long the server has been up without a break: nobody could keep a lease before, nor a session.
--
-- By real time, whatever howdah.now() says.
create or replace function howdah.up_for()
    returns interval
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_since bigint := (select s.last_value from howdah.up_since s);
begin
    if v_since = 0 then
        v_since := howdah.milliseconds();
        perform setval('howdah.up_since', v_since);
    end if;
    return least(clock_timestamp() - pg_postmaster_start_time(),
                 make_interval(secs => (howdah.milliseconds() - v_since) / 1000.0));
end;
$$;

comment on function howdah.up_for is 'How long the server has been up, also since its last crash or promotion.';
