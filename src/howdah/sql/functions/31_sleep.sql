-- Sleep: how workers lie down, get up, and leave no job without somebody who looks for it.
--
-- A worker's row in sleeper says what it does; no row: it has no slot left, or never found nothing to do.
--
--   up ─────► front ◄───► behind      front: asleep, and publishers ring it
--   ▲           │            │        behind: asleep, and other workers ring it
--   └───────────┴────────────┘        up: has a free slot and looks again within milliseconds
--
-- Of each kind that has sleepers, somebody is in front or up. Whoever leaves these two makes sure that somebody else is:
-- it first writes its own row, then looks for another row and locks it, SKIP LOCKED; a row that somebody is just leaving
-- is locked and does not count. What went wrong nevertheless (a worker killed while it was up), the next look of any
-- sleeper of the kind puts right: that is at most 5 s away.
--
-- Workers are passed by number and kind: their rows, with the names of all tasks, may be large.

-- howdah.sleep: lays a worker down; says whether it may believe that nothing is on its way, and whether it is in front.
--
-- i_in_flight was read before the claim looked. A publisher that looked for sleepers before the declaration was
-- committed is among those in flight then; once none of them is left, whatever they published has been looked at.
-- A worker behind need not wait for them: somebody in front or up does.
create or replace function howdah.sleep(
    i_worker_id bigint, i_kind bigint, i_sleeper howdah.sleeper, i_in_flight text[], i_now timestamptz,
    out settled boolean, out in_front boolean)
    language plpgsql
as $$
declare
    v_state text;
    v_left  text[];
begin
    in_front := howdah.front_wanted(i_worker_id, i_kind, i_sleeper.state, i_now);
    v_state := case when in_front then 'front' else 'behind' end;
    if i_sleeper.state is distinct from v_state then
        if i_sleeper.state is null then
            insert into howdah.sleeper (worker_id, kind, state, holders, since)
            values (i_worker_id, i_kind, v_state, case when in_front then null else '{}'::text[] end, i_now)
            on conflict (worker_id) do nothing;
        else
            update howdah.sleeper s
               set state = v_state, holders = case when in_front then null else '{}'::text[] end, since = i_now
             where s.ctid = (select howdah.own_row(i_worker_id));
        end if;
        settled := not in_front and found;
    elsif in_front then
        v_left := case when i_sleeper.holders is null then i_in_flight
                       else array(select h from unnest(i_sleeper.holders) h where h = any (i_in_flight)) end;
        if v_left is distinct from i_sleeper.holders then
            update howdah.sleeper s set holders = v_left where s.ctid = (select howdah.own_row(i_worker_id));
        end if;
        settled := v_left = '{}';
    else
        settled := true;
    end if;
end;
$$;

comment on function howdah.sleep is 'Declare a worker asleep; settled when no earlier publisher is in flight any more.';


-- howdah.own_row: the place of a worker's row, locked; null when somebody holds it, for nobody waits for anybody here.
create or replace function howdah.own_row(i_worker_id bigint)
    returns tid
    language plpgsql
    volatile
as $$
declare
    v_row tid;
begin
    select s.ctid into v_row from howdah.sleeper s where s.worker_id = i_worker_id for update skip locked;
    return v_row;
end;
$$;

comment on function howdah.own_row is 'Lock the row of a sleeper, if it is free.';


-- howdah.front_wanted: whether a worker that sleeps or lies down belongs in front.
--
-- Locks: the row it relies upon when it leaves the front or never goes there, for share, SKIP LOCKED. Who stays behind
-- relies on nothing: it looks again.
create or replace function howdah.front_wanted(i_worker_id bigint, i_kind bigint, i_state text, i_now timestamptz)
    returns boolean
    language plpgsql
as $$
begin
    if i_state = 'behind' then
        return not exists (select from howdah.sleeper s where s.state = 'up' and s.kind = i_kind
                              and s.since > i_now - interval '1 s')
           and (select count(*)
                  from howdah.sleeper s
                  join howdah.beat b on b.worker_id = s.worker_id
                  join howdah.worker w on w.id = s.worker_id
                 where s.state = 'front' and s.kind = i_kind and b.beat_at > i_now - howdah.seconds(w.lease / 2)) < 2;
    end if;
    perform from howdah.sleeper s
      where s.state = 'up' and s.kind = i_kind and s.worker_id <> i_worker_id and s.since > i_now - interval '1 s'
      limit 1 for share skip locked;
    if found then
        return false;
    elsif i_state = 'front' then
        return true;
    end if;
    perform from howdah.sleeper s
      where s.state = 'front' and s.kind = i_kind and s.worker_id <> i_worker_id
     offset 1 limit 1 for share skip locked;
    return not found;
end;
$$;

comment on function howdah.front_wanted is 'Whether a sleeper belongs in front.';


-- howdah.nap: seconds until a sleeper behind looks again of itself. All of them together look often: a thousand need not
-- do so every 5 s each.
create or replace function howdah.nap(i_kind bigint)
    returns double precision
    language sql
    stable
as $$
    select greatest(5, count(*) / 4.0)
      from (select from howdah.sleeper s where s.state = 'behind' and s.kind = i_kind limit 120) s;
$$;

comment on function howdah.nap is 'Seconds between two looks of a sleeper that is not in front.';


-- howdah.got_work: a worker has claimed something. i_full: all that it asked for, so that it has no slot left.
create or replace function howdah.got_work(
    i_worker_id bigint, i_kind bigint, i_state text, i_full boolean, i_now timestamptz)
    returns void
    language plpgsql
as $$
begin
    if not i_full then
        perform howdah.stay_up(i_worker_id, i_kind, i_state, i_now);
        return;
    end if;
    if i_state is not null then
        -- where somebody relies upon it at this moment it stays: its worker passes on what it is rung for
        delete from howdah.sleeper s where s.ctid = (select howdah.own_row(i_worker_id));
    end if;
    -- a busy system has no sleepers
    if exists (select from howdah.sleeper s where s.state in ('front', 'behind') and s.kind = i_kind) then
        perform howdah.hand_over(i_worker_id, i_kind, i_now);
    end if;
end;
$$;

comment on function howdah.got_work is 'What a worker that has found work tells the sleepers.';


-- howdah.stay_up: a worker with a free slot that looks again soon says so, to spare those in front of its kind.
--
-- i_state: of its row, if it has one. Nobody else in front and no row: nothing to say. Said anew every half second, for it is believed for one.
create or replace function howdah.stay_up(i_worker_id bigint, i_kind bigint, i_state text, i_now timestamptz)
    returns void
    language plpgsql
as $$
begin
    if i_state is not null then
        update howdah.sleeper s set state = 'up', holders = null, since = i_now
         where s.ctid = (select howdah.own_row(i_worker_id)) and (i_state <> 'up' or s.since < i_now - interval '0.5 s');
    elsif exists (select from howdah.sleeper s where s.state = 'front' and s.kind = i_kind) then
        insert into howdah.sleeper (worker_id, kind, state, since) values (i_worker_id, i_kind, 'up', i_now)
        on conflict (worker_id) do nothing;
    end if;
end;
$$;

comment on function howdah.stay_up is 'Declare that a worker is up and looks again soon.';


-- howdah.hand_over: a worker without a free slot, or about to leave, wakes others: one when nobody of its kind is in front,
-- two more when jobs are left that it could do. So a bulk wakes as many as it needs, by doubling.
--
-- The one it puts in front is rung although there may be no job: it must wait for the publishers that saw nobody.
-- Locks: the sleeper that it relies upon, for share, or puts in front; SKIP LOCKED.
create or replace function howdah.hand_over(i_worker_id bigint, i_kind bigint, i_now timestamptz)
    returns void
    language plpgsql
as $$
declare
    v_next bigint;
begin
    if not exists (select from howdah.sleeper s where s.state in ('front', 'behind') and s.kind = i_kind) then
        return;
    end if;
    perform from howdah.sleeper s
      where s.state = 'front' and s.kind = i_kind and s.worker_id <> i_worker_id limit 1 for share skip locked;
    if not found then
        update howdah.sleeper s set state = 'front', holders = null, since = i_now
         where s.worker_id = (
               select x.worker_id from howdah.some_behind(i_worker_id, i_kind, 20, i_now) b
                 join howdah.sleeper x on x.worker_id = b and x.state = 'behind' limit 1 for update of x skip locked)
        returning s.worker_id into v_next;
        perform pg_notify('howdah_' || v_next, '') where v_next is not null;
    end if;
    if howdah.more_for(i_worker_id) then
        perform pg_notify('howdah_' || o.worker_id, '')
          from (select b as worker_id, 1 as rank from howdah.some_behind(i_worker_id, i_kind, 2, i_now) b
                union all
                select s.worker_id, 2 from howdah.sleeper s where s.state = 'front' and s.kind = i_kind
                 order by rank limit 2) o;
    end if;
end;
$$;

comment on function howdah.hand_over is 'Wake others of the kind when there is work for them.';


-- howdah.some_behind: up to i_num sleepers behind of a worker's kind, from a random place on, those that have beaten lately
-- first; however many there are, forty are looked at.
create or replace function howdah.some_behind(
    i_worker_id bigint, i_kind bigint, i_num integer, i_now timestamptz)
    returns setof bigint
    language plpgsql
    volatile
as $$
declare
    v_from constant bigint := (
        select floor(min(s.worker_id) + random() * (max(s.worker_id) - min(s.worker_id)))
          from howdah.sleeper s where s.state = 'behind' and s.kind = i_kind);
begin
    return query
    select x.worker_id
      from ((select s.worker_id from howdah.sleeper s
              where s.state = 'behind' and s.kind = i_kind and s.worker_id >= v_from
              order by s.worker_id limit 20)
            union
            (select s.worker_id from howdah.sleeper s
              where s.state = 'behind' and s.kind = i_kind and s.worker_id < v_from
              order by s.worker_id limit 20)) x
      join howdah.beat b on b.worker_id = x.worker_id
      join howdah.worker w on w.id = x.worker_id
     where x.worker_id <> i_worker_id
     order by b.beat_at < i_now - howdah.seconds(w.lease / 2), random()
     limit i_num;
end;
$$;

comment on function howdah.some_behind is 'A few sleepers of a kind, at random.';


-- howdah.more_for: whether jobs are left that a worker could claim; looks at the first twenty of each lane.
create or replace function howdah.more_for(i_worker_id bigint)
    returns boolean
    language plpgsql
    stable
    set enable_bitmapscan = off     -- it would collect a whole lane to find its first row
as $$
declare
    v_worker howdah.worker;
begin
    select w.* into v_worker from howdah.worker w where w.id = i_worker_id;
    return exists (
        select from (select k.queue, k.priority, k.floor from howdah.lane k
                     union all
                     select n.queue, n.priority, 0 from howdah.new_lanes() n) l
         cross join lateral (
                select r.task from howdah.ready r
                 where r.queue = l.queue and r.priority = l.priority and r.pos > l.floor
                 order by r.queue, r.priority, r.pos limit 20) x
         where (v_worker.queues is null or howdah.queue_of(l.queue) = any (v_worker.queues))
           and (howdah.labels_of(l.queue) is null or howdah.labels_of(l.queue) <@ v_worker.labels)
           and not exists (select from howdah.queue q where q.queue = howdah.queue_of(l.queue) and q.paused_at is not null)
           and (v_worker.topic is null or x.task like howdah.topic_pattern(v_worker.topic))
           and (x.task = any (v_worker.tasks) or x.task like any (v_worker.patterns)));
end;
$$;

comment on function howdah.more_for is 'Whether ready jobs are left for a worker.';
