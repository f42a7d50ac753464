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


-- howdah.seconds: a number of seconds as an interval; -1 and anything beyond 100 years is for ever.
create or replace function howdah.seconds(i_seconds double precision)
    returns interval
    language sql
    immutable strict parallel safe
    return make_interval(secs => least(i_seconds, 3155760000));

comment on function howdah.seconds is 'Seconds as an interval, at most 100 years.';
