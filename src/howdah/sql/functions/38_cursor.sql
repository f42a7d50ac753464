-- The claim cursor: one floor per lane, moved only here.
--
-- `ready` is read in index order, and dead entries pile up at the front whenever vacuum may not remove them. A floor lets
-- claims start behind them. A position is settled once every transaction that was drawing positions when it was read has
-- ended. Publishers that stay open longer than half a second are passed and remembered as a hole.

-- howdah.tick_due: whether nobody has ticked for so long. Between: a clock that was set back must not stop the ticks.
create or replace function howdah.tick_due(i_milliseconds integer)
    returns boolean
    language plpgsql
as $$
begin
    return not howdah.milliseconds() - (select s.last_value from howdah.last_tick s) between 0 and i_milliseconds - 1;
end;
$$;

comment on function howdah.tick_due is 'Whether the last tick was i_milliseconds ago.';


-- howdah.tick: what must happen every few milliseconds while the system is busy; paced by a register, not by a row.
create or replace function howdah.tick(i_milliseconds integer)
    returns void
    language plpgsql
as $$
declare
    v_now constant timestamptz := howdah.now();
begin
    -- between: a clock that was set back must not stop the ticks
    if howdah.milliseconds() - (select s.last_value from howdah.last_tick s) between 0 and i_milliseconds - 1 then
        return;
    end if;
    perform setval('howdah.last_tick', howdah.milliseconds());
    perform howdah.promote(v_now, 5000);
    perform howdah.expire(v_now, 200);
    perform howdah.park(v_now, 10000);
    if exists (select from howdah.freed offset 5000) then      -- fewer can wait for the chores: most keys come again
        perform howdah.fold_limits(5000);
    end if;
    perform howdah.settle(v_now, 1000, true, false);
    perform howdah.advance_cursor();
end;
$$;

comment on function howdah.tick is 'Promote what is due and move the floors, unless that was done i_milliseconds ago.';


-- howdah.hold_cursor: whether the cursor is ours until the transaction ends. A row lock: advisory locks are open to every
-- login, who could stop the cursor by taking one.
create or replace function howdah.hold_cursor()
    returns boolean
    language plpgsql
as $$
begin
    perform from howdah.settle s for update skip locked;
    return found;
end;
$$;

comment on function howdah.hold_cursor is 'Try to lock the claim cursor.';


-- howdah.advance_cursor: settles positions, records new lanes, fills holes, moves floors.
--
-- Locks: a try-lock that lets one session through; nobody waits.
create or replace function howdah.advance_cursor()
    returns void
    language plpgsql
as $$
declare
    v_now       constant timestamptz := clock_timestamp();     -- real time: how long transactions really stay open
    v_settle    howdah.settle;
    v_last      bigint;
    v_in_flight text[];
begin
    if not howdah.hold_cursor() then
        return;
    end if;
    select s.* into v_settle from howdah.settle s;
    -- the order matters: first the number, then who may still be writing at or below it
    select case when q.is_called then q.last_value else 0 end into v_last from howdah.position_seq q;
    v_in_flight := howdah.publishers_in_flight();

    insert into howdah.lane (queue, priority, moved_at)
    select n.queue, n.priority, v_now from howdah.new_lanes() n order by n.queue, n.priority
    on conflict do nothing;
    perform howdah.fill_holes(v_in_flight, v_now);

    if v_settle.holders && v_in_flight and v_now - v_settle.candidate_at > interval '0.5 s' then
        -- a hole each: the rows of one must not wait for the end of another
        insert into howdah.hole (low, holders, opened_at, looked_at)
        select v_settle.settled, array[h], v_now, v_now from unnest(v_settle.holders) h where h = any (v_in_flight);
        v_settle.holders := '{}';
    end if;
    if not v_settle.holders && v_in_flight and v_settle.candidate < v_last then
        update howdah.settle s
           set settled = s.candidate, candidate = v_last, candidate_at = v_now,
               holders = array(select f from unnest(v_in_flight) f
                                where f not in (select unnest(h.holders) from howdah.hole h));
        v_settle.settled := v_settle.candidate;
    elsif not v_settle.holders && v_in_flight and v_settle.settled < v_settle.candidate then
        update howdah.settle s set settled = s.candidate, holders = '{}';
        v_settle.settled := v_settle.candidate;
    end if;
    perform howdah.move_floors(v_settle.settled, v_now);
end;
$$;

comment on function howdah.advance_cursor is 'One step of the claim cursor.';


-- howdah.move_floors: up to the oldest job left in the lane, or to what is settled; only by 500 positions or more,
-- because a floor's own dead versions would be the next problem.
create or replace function howdah.move_floors(i_settled bigint, i_now timestamptz)
    returns void
    language plpgsql
    set enable_bitmapscan = off     -- it would collect a whole lane to find its first row
as $$
declare
    v_step bigint;      -- of a thousand tenants' lanes not each is moved at each tick
begin
    v_step := greatest(500, 5 * (select count(*) from howdah.lane));
    update howdah.lane l
       set floor = v.floor, moved_at = i_now
      from (select k.queue, k.priority, least(coalesce(head.pos - 1, i_settled), i_settled) as floor
              from howdah.lane k
              left join lateral (
                    select r.pos from howdah.ready r
                     where r.queue = k.queue and r.priority = k.priority and r.pos > k.floor
                     order by r.queue, r.priority, r.pos limit 1) head on true
             where k.floor < i_settled - v_step) v
     where l.queue = v.queue and l.priority = v.priority and v.floor >= l.floor + v_step;
end;
$$;

comment on function howdah.move_floors is 'Move the floors of the lanes.';


-- howdah.fill_holes: rows that turned up behind a floor get a new position; a hole is kept until none is left.
--
-- Kept, because a row may be locked just now by a claim that will roll back.
create or replace function howdah.fill_holes(i_in_flight text[], i_now timestamptz)
    returns void
    language plpgsql
as $$
declare
    v_hole   howdah.hole;
    v_lifted bigint;
begin
    for v_hole in
        select h.* from howdah.hole h
         where not h.holders && i_in_flight and (h.holders <> '{}' or h.looked_at < i_now - interval '1 s')
         order by h.id
    loop
        v_lifted := howdah.lift(v_hole.low);
        if howdah.left_behind(v_hole.low) then
            -- a full batch was lifted: go on at the next tick; else they are held by somebody: look once a second
            update howdah.hole h set holders = '{}', looked_at = case when v_lifted > 0 then '-infinity' else i_now end
             where h.id = v_hole.id;
        else
            delete from howdah.hole h where h.id = v_hole.id;
        end if;
    end loop;
end;
$$;

comment on function howdah.fill_holes is 'Give late rows a new position.';


-- howdah.lift: rows above i_low but behind their lane's floor ─► a new position.
create or replace function howdah.lift(i_low bigint)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_count bigint;
begin
    with late as materialized (
        select r.ctid as row
          from howdah.lane l
         cross join lateral (
                select x.ctid, x.pos from howdah.ready x
                 where x.queue = l.queue and x.priority = l.priority and x.pos > i_low and x.pos <= l.floor
                 order by x.queue, x.priority, x.pos
                   for update skip locked) r
         limit 5000     -- a bulk of millions must not be one transaction's work
    )
    update howdah.ready r set pos = nextval('howdah.position_seq') from late where r.ctid = late.row;
    get diagnostics v_count = row_count;
    if v_count > 0 then
        perform howdah.ring(null, null, 1000);      -- a worker may have gone to sleep after their publisher ended
    end if;
    return v_count;
end;
$$;

comment on function howdah.lift is 'Give rows behind a floor a new position.';


-- howdah.left_behind: whether a row above i_low still lies behind its lane's floor, locked or not.
create or replace function howdah.left_behind(i_low bigint)
    returns boolean
    language sql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from howdah.lane l
         cross join lateral (
                select from howdah.ready x
                 where x.queue = l.queue and x.priority = l.priority and x.pos > i_low and x.pos <= l.floor limit 1) r);
$$;

comment on function howdah.left_behind is 'Whether a row lies behind a floor.';


-- howdah.pass_stuck: a consumer that claimed inside a long transaction leaves rows that look alive and keep their lane's
-- floor from moving: pass them as a hole, looked at once a second.
create or replace function howdah.pass_stuck(i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_lane    howdah.lane;
    v_settled constant bigint := (select s.settled from howdah.settle s);
    v_free    bigint;
    v_passed  bigint := 0;
begin
    if not howdah.hold_cursor() then
        return 0;
    end if;
    for v_lane in
        select l.* from howdah.lane l where l.floor < v_settled - 500 and l.moved_at < i_now - interval '1 s'
         order by l.queue, l.priority
    loop
        select r.pos into v_free from howdah.ready r
         where r.queue = v_lane.queue and r.priority = v_lane.priority and r.pos > v_lane.floor
         order by r.queue, r.priority, r.pos limit 1 for update skip locked;
        v_free := least(coalesce(v_free - 1, v_settled), v_settled);
        continue when v_free < v_lane.floor + 500;
        insert into howdah.hole (low, holders, opened_at, looked_at) values (v_lane.floor, '{}', i_now, i_now);
        update howdah.lane l set floor = v_free, moved_at = i_now
         where l.queue = v_lane.queue and l.priority = v_lane.priority;
        v_passed := v_passed + 1;
    end loop;
    return v_passed;
end;
$$;

comment on function howdah.pass_stuck is 'Move floors past rows that a long transaction holds.';
