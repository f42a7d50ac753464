-- Finding a job and its state.

-- howdah.job_number: the number of a job given by number or key; JB003 when there is none.
create or replace function howdah.job_number(i_job_id text)
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint;
begin
    if i_job_id ~ '^[0-9]{1,18}$' then
        select j.id into v_id from howdah.job j where j.id = i_job_id::bigint;
    else
        select j.id into v_id from howdah.job j where j.key = i_job_id collate "C";
    end if;
    if v_id is null then
        perform howdah.job_not_found(i_job_id);
    end if;
    return v_id;
end;
$$;

comment on function howdah.job_number is 'Number of a job given by number or key, or JB003.';


-- howdah.public_id: what users see as job_id.
create or replace function howdah.public_id(i_id bigint, i_key text)
    returns text
    language sql
    immutable parallel safe
    return coalesce(i_key, i_id::text);

comment on function howdah.public_id is 'The key where the user gave one, else the number.';


-- howdah.ready_position: where a ready job lies; null when it is not ready.
--
-- A direct publish lies at pos = id in the lane its job names; only what came back needs the other index.
create or replace function howdah.ready_position(i_job howdah.job)
    returns tid
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select r.ctid from howdah.ready r
     where r.queue = howdah.lane_of(i_job.queue, i_job.tenant, i_job.requires) and r.priority = coalesce(i_job.priority, 0)
       and r.pos = i_job.id and r.id = i_job.id
    union all
    select r.ctid from howdah.ready r where r.id = i_job.id and r.pos <> r.id
    limit 1;
$$;

comment on function howdah.ready_position is 'Row of a job in ready, found without an index on every id.';


-- howdah.state_of: the state of a job in one snapshot; null when there is no such job.
create or replace function howdah.state_of(i_id bigint)
    returns howdah.state
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select s.state
      from howdah.job j
     cross join lateral (
            select 'running'::howdah.state as state from howdah.running r where r.id = j.id
            union all select f.state from howdah.finished f where f.id = j.id
            union all select 'scheduled' from howdah.scheduled s where s.id = j.id
            union all select 'blocked' from howdah.blocked b where b.id = j.id
            union all select 'ready' from howdah.ready r
                       where r.queue = howdah.lane_of(j.queue, j.tenant, j.requires) and r.priority = coalesce(j.priority, 0)
                         and r.pos = j.id and r.id = j.id
            union all select 'ready' from howdah.ready r where r.id = j.id and r.pos <> r.id) s
     where j.id = i_id
     limit 1;
$$;

comment on function howdah.state_of is 'State of a job in one snapshot.';


-- howdah.changed: what a change returns.
create or replace function howdah.changed(i_id bigint, i_state text)
    returns jobs.changed
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select howdah.public_id(i_id, (select j.key from howdah.job j where j.id = i_id)), i_id, i_state;
$$;

comment on function howdah.changed is 'Result row of ack, nack, cancel and their like.';


-- howdah.retry_delay: seconds before the next attempt, after i_failed failed ones.
--
-- Own delays are taken as they are, the last one repeats. Default: 3 s, doubled each time, at most an hour, plus up
-- to a quarter at random: less than the doubling, so that delays always grow, and enough to spread a herd.
create or replace function howdah.retry_delay(i_failed integer, i_backoff double precision[])
    returns double precision
    language sql
    volatile
    return case
        when cardinality(i_backoff) > 0 then i_backoff[least(i_failed, cardinality(i_backoff))]
        else least(3 * power(2, least(i_failed, 12) - 1), 3600) * (1 + random() / 4)
    end;

comment on function howdah.retry_delay is 'Seconds before the next attempt.';
