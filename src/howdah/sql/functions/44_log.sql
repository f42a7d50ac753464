-- Lines that a running job writes, kept with the job.

-- jobs.log: adds lines to a job's log.
--
-- Fence: the run id; the running row is locked, so that a run cannot lose its lease in between. Only the newest thousand
-- lines of a job are kept.
create or replace function jobs.log(i_job_id text, i_run_id bigint, i_lines jsonb)
    returns void
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_id  constant bigint := howdah.job_number(i_job_id);
    v_now constant timestamptz := howdah.now();
begin
    if jsonb_typeof(i_lines) is distinct from 'array' then
        perform howdah.refuse('lines', 'is not a JSON array', 'Give [["info", "half done"], …].');
    end if;
    perform from howdah.running r where r.id = v_id and r.run_id = i_run_id for key share;
    if not found then
        perform howdah.lease_lost(i_job_id, i_run_id);
    end if;
    insert into howdah.log (job_id, run_id, at, level, message)
    select v_id, i_run_id, v_now, lower(coalesce(howdah.one_line(e.line ->> 0, 20), 'info')), left(coalesce(e.line ->> 1, ''), 8192)
      from jsonb_array_elements(i_lines) with ordinality e (line, n) order by e.n;
    delete from howdah.log l
     where l.job_id = v_id and l.n <= (select x.n from howdah.log x where x.job_id = v_id order by x.n desc offset 1000 limit 1);
end;
$$;

comment on function jobs.log is $$Add lines to the log of a running job: a JSON array of [level, message].

The newest thousand lines of a job are kept, each of at most 8,192 characters. Raises JB002 when the run is not current.$$;


-- jobs.logs: a job's lines, oldest first.
create or replace function jobs.logs(i_job_id text, i_after bigint default 0, i_limit integer default 1000)
    returns table (n bigint, at timestamptz, run_id bigint, level text, message text)
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    if i_limit is null or i_limit not between 1 and 100000 then
        perform howdah.refuse('limit', 'is out of range', 'Give a number from 1 to 100000.');
    end if;
    return query
        select l.n, l.at, l.run_id, l.level, l.message
          from howdah.log l
         where l.job_id = howdah.job_number(i_job_id) and l.n > coalesce(i_after, 0)
         order by l.n limit i_limit;
end;
$$;

comment on function jobs.logs is 'Lines of a job''s log after number i_after, oldest first. Raises JB003.';
