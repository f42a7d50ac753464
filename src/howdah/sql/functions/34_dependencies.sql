-- Dependencies: a job that waits for others. Until its parents have ended, the child lies in blocked, kind parent, with one
-- edge for each parent it still waits for.
--
-- publish writes edges and nothing that others write; it waits for nobody. Whoever ends a job writes a row in `ended` when
-- that job has edges, and touches no child, so that an ack never waits for another. What comes of both is settled by
-- functions/39_settle.sql, which is also where a child and an end meet that did not see each other.
--
-- A system without dependencies pays one look at a register (the sequence howdah.dependencies) for each batch of ends.

-- howdah.check_depends_on: a publication's list of parents.
create or replace function howdah.check_depends_on(i_depends_on text[], i_key text)
    returns void
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if i_depends_on is null then
        return;
    elsif array_ndims(i_depends_on) > 1 then
        perform howdah.refuse('depends_on', 'is not a plain list', 'Give the ids or keys of the jobs, one after the other.');
    elsif cardinality(i_depends_on) > 100000 then
        perform howdah.refuse('depends_on', format('names %s jobs, the limit is 100000', cardinality(i_depends_on)),
            'Let a job in between wait for some of them.');
    elsif array_position(i_depends_on, null) is not null then
        perform howdah.refuse('depends_on', 'contains null', 'Give the ids or keys of the jobs.');
    elsif i_key = any (i_depends_on) then
        perform howdah.refuse('depends_on', format('names the job itself, %L', i_key), 'Name the jobs that come before it.');
    end if;
end;
$$;

comment on function howdah.check_depends_on is 'Refuse a list of parents that is none, or that names the job itself.';


-- howdah.parents: the numbers of the jobs named, each once; JB001 for one that is not there. Null for an empty list.
--
-- Draws from the register first: from here on prune knows that somebody may be about to depend on what it finds.
create or replace function howdah.parents(i_depends_on text[])
    returns bigint[]
    language plpgsql
    volatile strict
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_ids     bigint[];
    v_unknown text;
begin
    if i_depends_on = '{}' then
        return null;
    end if;
    perform nextval('howdah.dependencies');
    select array_agg(distinct x.id), min(p.name) filter (where x.id is null) into v_ids, v_unknown
      from unnest(i_depends_on) p (name)
      left join lateral (
            select j.id from howdah.job j where j.id = case when p.name ~ '^[0-9]{1,18}$' then p.name::bigint end
            union all
            select j.id from howdah.job j where p.name !~ '^[0-9]{1,18}$' and j.key = p.name collate "C") x on true;
    if v_unknown is not null then
        perform howdah.refuse('depends_on', format('there is no job %s', left(howdah.one_line(v_unknown), 200)),
            'Publish it first: it was never published, its transaction was rolled back, or it has been pruned or deleted.');
    end if;
    return v_ids;
end;
$$;

comment on function howdah.parents is 'Numbers of the jobs that a publication depends on, or JB001.';


-- howdah.awaited: those of its parents that a new job has to wait for; null when there are none.
--
-- Those that have ended as they should need no edge; those that have not, or that end at this very moment, are left to settle.
-- One look: a parent that it sees alive cannot have been pruned before anybody knew of us.
create or replace function howdah.awaited(i_parents bigint[], i_allow_failure boolean)
    returns bigint[]
    language plpgsql
    volatile strict
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_awaited bigint[];
    v_gone    bigint;
begin
    select array_agg(p.id order by p.id) filter (where not coalesce(f.state = 'succeeded' or i_allow_failure and f.id > 0, false)),
           min(p.id) filter (where j.id is null)
      into v_awaited, v_gone
      from unnest(i_parents) p (id)
      left join howdah.job j on j.id = p.id
      left join howdah.finished f on f.id = p.id;
    if v_gone is not null then
        perform howdah.refuse('depends_on', format('there is no job %s', v_gone), 'It has just been pruned or deleted.');
    end if;
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        perform howdah.still_there(v_awaited);
    end if;
    return v_awaited;
end;
$$;

comment on function howdah.awaited is 'Parents that a new job has to wait for.';


-- howdah.still_there: 40001 for a publisher whose old snapshot shows a parent that has been pruned or deleted since, or is just
-- now: nobody could tell its child how it had ended. Locks the jobs for a moment, as at_rest does; waits for nobody.
create or replace function howdah.still_there(i_ids bigint[])
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_found bigint;
begin
    begin
        select count(*) into v_found
          from (select from unnest(i_ids) p (id) join howdah.job j on j.id = p.id for key share of j skip locked) x;
        raise exception 'seen' using errcode = 'HD000';
    exception when sqlstate 'HD000' then
        null;
    end;
    if v_found < cardinality(i_ids) then
        raise serialization_failure using message = 'depends_on: a job has been deleted since this transaction began',
            hint = 'Try the transaction again.';
    end if;
end;
$$;

comment on function howdah.still_there is 'Whether parents seen in an old snapshot still exist; 40001 else.';


-- howdah.tie: writes the edges of a new job and answers its row for blocked.
create or replace function howdah.tie(
    i_id bigint, i_task text, i_parents bigint[], i_allow_failure boolean, i_now timestamptz)
    returns howdah.blocked
    language plpgsql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_blocked howdah.blocked;
begin
    insert into howdah.edge (child, parent, allow_failure)
    select i_id, p.id, coalesce(i_allow_failure, false) from unnest(i_parents) p (id);
    v_blocked.id := i_id;
    v_blocked.kind := 'parent';
    v_blocked.task := i_task;
    v_blocked.attempt := 0;
    v_blocked.pending := cardinality(i_parents);
    v_blocked.blocked_at := i_now;
    return v_blocked;
end;
$$;

comment on function howdah.tie is 'Tie a new job to its parents.';


-- howdah.note_ends: that jobs have ended (null: were deleted), for those that others wait for.
--
-- The caller has taken their state rows away before. So at READ COMMITTED this look sees every edge of a child that was settled
-- while its parent lived; an older snapshot does not, and then all ends are noted, children or not.
create or replace function howdah.note_ends(i_ids bigint[], i_state howdah.state, i_now timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    insert into howdah.ended (at, parent, state, upto)
    select i_now, p.id, i_state, pg_sequence_last_value('howdah.position_seq'::regclass)
      from unnest(i_ids) p (id)
     where current_setting('transaction_isolation') in ('repeatable read', 'serializable')
        or exists (select from howdah.edge e where e.parent = p.id);
    if found then
        -- somebody has to settle them
        perform howdah.be_in_flight();
        perform howdah.ring(null);
    end if;
end;
$$;

comment on function howdah.note_ends is 'Note the ends of jobs that others wait for.';


-- howdah.written_here: whether a row that we see was written by our own transaction, a savepoint's part of it included.
create or replace function howdah.written_here(i_xmin xid)
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_own constant bigint := pg_current_xact_id_if_assigned()::text::bigint;
    v_ago constant bigint := (v_own - i_xmin::text::bigint) & 4294967295;      -- how long before us, if it was before us
begin
    -- numbers of savepoints come after ours; those of others may, too, but what we see of them has ended
    return v_own is not null and (v_ago = 0 or v_ago > 2147483647
        and pg_xact_status((v_own + 4294967296 - v_ago)::text::xid8) = 'in progress');
exception when invalid_parameter_value then
    return false;       -- not after us in fact: two thousand million transactions ago, and frozen
end;
$$;

comment on function howdah.written_here is 'Whether a row was written by this transaction.';


-- howdah.note_pruned: how jobs had ended that are pruned now, while somebody waits for them or may be about to.
--
-- Whoever publishes a child just now may have seen its parent alive, and must not find it gone when it had succeeded. First who
-- is publishing, then who waits: whoever is in neither list has ended before, or will see the parent's end itself, since that is
-- committed: prune leaves alone what has succeeded in its own transaction (written_here).
create or replace function howdah.note_pruned(i_ids bigint[], i_states howdah.state[], i_now timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_holders constant text[] := howdah.dependants_in_flight();
begin
    insert into howdah.ended (at, parent, state, upto, holders)
    select i_now, p.id, p.state, pg_sequence_last_value('howdah.position_seq'::regclass), v_holders
      from unnest(i_ids, i_states) p (id, state)
     where v_holders <> '{}' or exists (select from howdah.edge e where e.parent = p.id);
end;
$$;

comment on function howdah.note_pruned is 'Note how pruned jobs had ended.';


-- howdah.dependants_in_flight: who has published a job that depends on others and not ended yet; see publishers_in_flight.
create or replace function howdah.dependants_in_flight()
    returns text[]
    language sql
    volatile
as $$
    select coalesce(array_agg(l.virtualtransaction), '{}')
      from pg_locks l
     where l.locktype = 'relation'
       and l.database = (select d.oid from pg_database d where d.datname = current_database())
       and l.relation = 'howdah.dependencies'::regclass
       and l.mode = 'RowExclusiveLock'
       and l.pid is distinct from pg_backend_pid();
$$;

comment on function howdah.dependants_in_flight is 'Virtual transactions that hold an edge not yet committed.';
