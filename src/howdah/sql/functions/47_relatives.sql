-- Looking at dependencies: whom a job waits for, who waits for it, and what must always hold.

-- jobs.relatives: the parents and the waiting children of a job.
create or replace function jobs.relatives(i_job_id text, i_limit integer default 100)
    returns table (relation text, job_id text, id bigint, task text, state text, awaited boolean)
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_id constant bigint := howdah.job_number(i_job_id);
begin
    if i_limit is null or i_limit not between 1 and 100000 then
        perform howdah.refuse('limit', 'is out of range', 'Give a number from 1 to 100000.');
    end if;
    return query
        select x.relation, howdah.public_id(x.id, j.key), x.id, j.task, howdah.state_of(x.id)::text, x.awaited
          from ((select 'parent' as relation, p.id,
                        exists (select from howdah.edge e where e.child = v_id and e.parent = p.id) as awaited
                   from howdah.job c cross join lateral unnest(c.depends_on) p (id) where c.id = v_id
                  order by p.id limit i_limit)
                union all
                (select 'child', e.child, true from howdah.edge e where e.parent = v_id order by e.child limit i_limit)) x
          left join howdah.job j on j.id = x.id
         order by x.relation desc, x.id;
end;
$$;

comment on function jobs.relatives is $$The parents of a job, also those that have ended, and the jobs that wait for it; at most i_limit of each.

state is null for a parent that is gone; awaited says whether the child still waits for the parent. Raises JB003.$$;


-- howdah.why_parent: the jobs that a job waits for, the first three of them by name.
create or replace function howdah.why_parent(i_id bigint)
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_count constant bigint := (select b.pending from howdah.blocked b where b.id = i_id);
    v_named text;
begin
    select string_agg(format('%s (%s, %s)', howdah.public_id(e.parent, j.key), j.task,
                             coalesce(howdah.state_of(e.parent)::text, 'gone')), ', ' order by e.parent) into v_named
      from (select x.parent from howdah.edge x where x.child = i_id order by x.parent limit 3) e
      left join howdah.job j on j.id = e.parent;
    return format('It waits for %s to %s: %s%s.', howdah.counted(v_count, 'job'),
        case when (select j.allow_failure from howdah.job j where j.id = i_id) then 'end' else 'succeed' end,
        coalesce(v_named, 'unknown'), case when v_count > 3 then format(' and %s more', v_count - 3) else '' end);
end;
$$;

comment on function howdah.why_parent is 'Which jobs it waits for.';


-- Who waits has something to wait for, and will hear of it.
create or replace function howdah.fsck_edges()
    returns table (violation text, job_id bigint, detail text)
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select 'edge of a job that does not wait', e.child, 'parent ' || e.parent from howdah.edge e
     where not exists (select from howdah.blocked b where b.id = e.child and b.kind = 'parent')
    union all
    select 'waits for another number of jobs than it has edges', b.id, format('pending %s, edges %s', b.pending, n.count)
      from howdah.blocked b
     cross join lateral (select count(*) from howdah.edge e where e.child = b.id) n
     where b.kind = 'parent' and (b.pending <> n.count or n.count = 0)
    union all
    select 'waits for a job that does not know', e.child, 'parent ' || e.parent from howdah.edge e
     where e.settled
       and not exists (select from howdah.lying l where l.id = e.parent and l.place <> 'finished')
       and not exists (select from howdah.ended n where n.parent = e.parent and n.upto >= e.child)
    union all
    select 'waits for a job that was published later', e.child, 'parent ' || e.parent from howdah.edge e where e.parent >= e.child;
$$;

comment on function howdah.fsck_edges is 'Violations among jobs that wait for others.';
