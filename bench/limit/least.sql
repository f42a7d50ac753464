-- The least that keeps what Howdah keeps: a job is written once, its state is the table its id lies in, a finished
-- job has its times and its result. No queue, priority, timeout, retry, fence, worker, limit, log. One call hands in
-- a batch and takes the next, in one durable transaction, with pinned plans and a claim cursor given by the caller.

create schema least;

create table least.job (
    id         bigint generated always as identity primary key,
    task       text not null,
    body       jsonb,
    created_at timestamptz not null default now()
);
create table least.ready (id bigint primary key);
create table least.running (id bigint primary key, started_at timestamptz not null);
create table least.finished (
    id          bigint primary key,
    started_at  timestamptz not null,
    finished_at timestamptz not null,
    result      jsonb
);

create function least.publish(i_jobs integer) returns void
language sql as $$
    with published as (
        insert into least.job (task, body) select 'nothing', '{}' from generate_series(1, i_jobs) returning id
    )
    insert into least.ready select id from published
$$;

create function least.exchange(i_done bigint[], i_batch integer, i_after bigint, out o_ids text, out o_last bigint, out o_jobs text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off
as $$
begin
    if i_done <> '{}' then
        with handed_in as (
            delete from least.running where id = any (i_done) returning id, started_at
        )
        insert into least.finished select id, started_at, clock_timestamp(), 'null' from handed_in;
    end if;
    with claimed as materialized (
        select id from least.ready where id > i_after order by id limit i_batch for update skip locked
    ), taken as (
        delete from least.ready where id = any (array(select id from claimed)) returning id
    ), started as (
        insert into least.running select id, clock_timestamp() from taken returning id
    )
    select array_agg(id)::text, max(id), string_agg(concat('[', id, ',"', task, '",', body, ']'), ',')
      into o_ids, o_last, o_jobs
      from started join least.job using (id);
end
$$;
