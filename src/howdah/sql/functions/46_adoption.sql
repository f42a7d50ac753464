-- Runs that a limit finds when it is set: it counts them as if they had begun under it. See docs/decisions/0014.

-- howdah.claims_in_flight: transactions that have begun to claim. Reading the register howdah.controls, which each claim does
-- first, holds a lock on it until the transaction ends.
create or replace function howdah.claims_in_flight()
    returns text[]
    language sql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(distinct l.virtualtransaction), '{}')
      from pg_locks l
     where l.locktype = 'relation'
       and l.database = (select d.oid from pg_database d where d.datname = current_database())
       and l.relation = 'howdah.controls'::regclass
       and l.pid is distinct from pg_backend_pid();
$$;

comment on function howdah.claims_in_flight is 'Virtual transactions that may have claimed something not yet committed.';


-- howdah.adopt_runs: counts the runs that were there before a limit; answers the slots of those that it has counted now. Until
-- it says so (adopted_at) there may be more of them.
--
-- Waits, without blocking anybody, for claims that were in flight when the limit was first looked at, and for whoever is about to
-- end a run and may yet be rolled back: a second at most, because a consumer may leave its transaction open; what that one
-- leaves is counted by adopt_late.
create or replace function howdah.adopt_runs(i_limit howdah.limits, i_now timestamptz)
    returns integer
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_in_flight constant text[] := howdah.claims_in_flight();
    v_moment    constant timestamptz := clock_timestamp();
    v_patient   constant boolean :=
        coalesce(v_moment - i_limit.looked_at between interval '0' and interval '1 s', true);
    v_slots     integer;
begin
    if i_limit.looked_at is null then
        update howdah.limits l set holders = v_in_flight, looked_at = v_moment where l.id = i_limit.id;
        i_limit.holders := v_in_flight;
    end if;
    if i_limit.holders && v_in_flight and v_patient then
        return 0;
    end if;
    v_slots := howdah.adopt_running(i_limit);
    if not (v_patient and exists (select from howdah.runs_before(i_limit))) then
        update howdah.limits l set adopted_at = v_moment, holders = null where l.id = i_limit.id;
    end if;
    return v_slots;
end;
$$;

comment on function howdah.adopt_runs is 'Count the runs that were there before a limit.';


-- howdah.runs_before: the runs of a limit's queue or task that do not hold it: they began before it.
create or replace function howdah.runs_before(i_limit howdah.limits, out id bigint, out slots integer)
    returns setof record
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select r.id, howdah.takes(coalesce(j.slots, 1), i_limit.max_running)
      from howdah.running r join howdah.job j on j.id = r.id left join howdah.task t on t.name = j.task
     where case i_limit.kind when 'task' then j.task = i_limit.name
                             when 'queue' then coalesce(j.queue, t.queue, 'default') = i_limit.name else false end
       and not exists (select from howdah.slots_held(r.held) h where h.limit_id = i_limit.id);
$$;

comment on function howdah.runs_before is 'Runs that began before a limit.';


-- howdah.adopt_running: has runs of a limit's queue or task hold it that do not yet; answers their slots.
--
-- Locks: the runs, SKIP LOCKED, as for an update: who writes to a run's log does not end it.
create or replace function howdah.adopt_running(i_limit howdah.limits)
    returns integer
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    with mine as materialized (
        select r.ctid as at_row, b.slots
          from howdah.runs_before(i_limit) b join howdah.running r on r.id = b.id
           for no key update of r skip locked
    ), adopted as (
        update howdah.running r
           set held = r.held || array[i_limit.id, m.slots]
          from mine m where r.ctid = m.at_row
        returning m.slots
    )
    select coalesce(sum(a.slots), 0)::integer from adopted a;
$$;

comment on function howdah.adopt_running is 'Have runs hold a limit that came after them.';


-- howdah.adopt_late: runs that were claimed before a limit and committed long after it was set.
create or replace function howdah.adopt_late(i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_limit howdah.limits;
    v_slots integer;
    v_count bigint := 0;
begin
    perform set_config('howdah.holds_limits', 'yes', true);      -- a claim of this transaction waits for none: see lock_limits
    for v_limit in
        select l.* from howdah.limits l
         where l.by_hand and l.adopted_at > i_now - interval '10 min' order by l.id for update skip locked
    loop
        v_slots := howdah.adopt_running(v_limit);
        if v_slots > 0 then
            update howdah.limits l set used = l.used + v_slots where l.id = v_limit.id;
            v_count := v_count + v_slots;
        end if;
    end loop;
    return v_count;
end;
$$;

comment on function howdah.adopt_late is 'Count runs that were committed late.';
