-- Limits: setting them, giving slots back, folding and forgetting. How claims keep them: functions/32_limited.sql; what ran
-- before there was one: 46_adoption.sql.

-- howdah.set_limit: what jobs.set_queue, set_task and set_key share; null leaves as it is, -1 removes.
--
-- Locks: the limit's row, which waits for a claim that decides about it. Every claim that begins after this commits keeps it.
-- Claims under way may not have seen it: the first decision waits for their end, and counts what was running before.
create or replace function howdah.set_limit(
    i_kind text, i_name text, i_max_running integer, i_rate integer, i_per interval)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_id  constant bigint := howdah.limit_id(i_kind, i_name);
    v_per constant double precision := extract(epoch from i_per);
begin
    perform howdah.check_limit(i_max_running, i_rate, i_per);
    if i_max_running is null and i_rate is null then
        return;
    end if;
    perform howdah.use_controls();
    insert into howdah.limits as l (id, kind, name, max_running, rate, per, by_hand, adopted_at)
    values (v_id, i_kind, i_name, nullif(i_max_running, -1), nullif(i_rate, -1), case when i_rate > 0 then v_per end, true,
            case when i_kind = 'key' then howdah.now() end)
    on conflict (id) do update
       set max_running = case when i_max_running is null and l.by_hand then l.max_running else excluded.max_running end,
           rate = case when i_rate is null then l.rate else excluded.rate end,
           per = case when i_rate is null then l.per else excluded.per end,
           opens_at = null,
           -- while it is no limit, nobody counts what starts
           adopted_at = case when i_kind = 'key' then howdah.now()
                             when l.max_running is not null or l.rate is not null then l.adopted_at end,
           holders = null, looked_at = null, by_hand = true;
    -- a key that nobody limits any more is again what its jobs say
    update howdah.limits l set by_hand = false
     where l.id = v_id and l.kind = 'key' and l.max_running is null and l.rate is null;
    insert into howdah.freed (limit_id, slots) values (v_id, 0);
    perform howdah.be_in_flight();
    perform howdah.ring(case when i_kind = 'queue' then array[i_name] end, null, 1000);
end;
$$;

comment on function howdah.set_limit is 'Set or remove a limit.';


-- howdah.check_limit: what a limit may be.
create or replace function howdah.check_limit(i_max_running integer, i_rate integer, i_per interval)
    returns void
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if i_max_running < -1 or i_max_running > 1000000 then
        perform howdah.refuse('max_running', format('%s is out of range', i_max_running), 'Give 0 to 1000000 slots, or -1 for no limit.');
    elsif i_rate < -1 or i_rate = 0 or i_rate > 1000000 then
        perform howdah.refuse('rate', format('%s is out of range', i_rate), 'Give 1 to 1000000 starts, or -1 for no limit.');
    elsif i_rate > 0 and i_per is null then
        perform howdah.refuse('per', 'is missing', 'Say in which interval so many may start: 1 min.');
    elsif i_per is not null and coalesce(i_rate, -1) = -1 then
        perform howdah.refuse('rate', 'is missing', 'Say how many may start in that interval.');
    elsif i_per is not null and not extract(epoch from i_per) between 0.001 and 31557600 then
        perform howdah.refuse('per', format('%s is out of range', i_per), 'Give an interval from a millisecond to a year.');
    end if;
end;
$$;

comment on function howdah.check_limit is 'Refuse what no limit can be.';


-- jobs.set_task: limits of a task, over all workers and queues.
create or replace function jobs.set_task(
    i_task text, i_max_running integer default null, i_rate integer default null, i_per interval default null)
    returns void
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform howdah.check_name('task', i_task);
    perform howdah.set_limit('task', i_task, i_max_running, i_rate, i_per);
end;
$$;

comment on function jobs.set_task is $$Limit a task: how many of its jobs run at once, and how many start in an interval.

What is not given stays as it is; -1 removes it. Holds from its commit on, over all workers. Raises JB001 naming the field.$$;


-- jobs.set_key: limits of one concurrency key.
create or replace function jobs.set_key(
    i_concurrency_key text, i_max_running integer default null, i_rate integer default null, i_per interval default null)
    returns void
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform howdah.check_concurrency(i_concurrency_key, null, null);
    if i_concurrency_key is null then
        perform howdah.refuse('concurrency_key', 'is missing', 'Give the key that jobs name.');
    end if;
    perform howdah.set_limit('key', i_concurrency_key, i_max_running, i_rate, i_per);
end;
$$;

comment on function jobs.set_key is $$Limit a concurrency key: what is set here counts instead of what its jobs say.

What is not given stays as it is; -1 removes it. Raises JB001 naming the field.$$;


-- howdah.check_concurrency: the options of a job that name a key.
create or replace function howdah.check_concurrency(i_key text, i_limit integer, i_slots integer)
    returns void
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if char_length(i_key) not between 1 and 200 then
        perform howdah.refuse('concurrency_key', format('has %s characters', char_length(i_key)), 'Use 1 to 200 characters; hash longer keys.');
    elsif i_key ~ '[\u0001-\u001f\u007f-\u009f]' then
        perform howdah.refuse('concurrency_key', 'contains a control character', 'Use printable characters.');
    elsif i_limit is not null and i_key is null then
        perform howdah.refuse('concurrency_limit', 'is given without concurrency_key', 'Name the key whose jobs share it.');
    end if;
    perform howdah.check_number('concurrency_limit', i_limit, 1, 1000000);
    perform howdah.check_number('slots', i_slots, 1, 1000000);
    if i_slots > i_limit then
        perform howdah.refuse('slots', format('are %s of %s', i_slots, i_limit), 'A job cannot take more slots than its key has.');
    end if;
end;
$$;

comment on function howdah.check_concurrency is 'Refuse concurrency options out of range.';


-- howdah.free: gives back what a run held. Waits for nobody.
create or replace function howdah.free(i_held bigint[])
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if i_held is null then
        return;
    end if;
    insert into howdah.freed (limit_id, slots) select h.limit_id, h.slots from howdah.slots_held(i_held) h;
    perform howdah.be_in_flight();
    perform howdah.ring(null, null, 1);
end;
$$;

comment on function howdah.free is 'Give back the slots of a run.';


-- howdah.fold_limits: a chore: folds what was freed of limits for which nothing waits, and forgets keys that nobody uses.
--
-- Only where nothing waits, because what is folded wakes nobody. That is looked at by a statement of its own, after the lock:
-- whoever decided before us may have made a job wait. Who decides without the lock leaves a zero that we do not see.
-- Locks: limits, SKIP LOCKED.
create or replace function howdah.fold_limits(i_limit integer)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_hinted bigint[];
    v_held   bigint[];
    v_count  bigint;
begin
    if not exists (select from howdah.freed) then
        return 0;
    end if;
    v_hinted := array(
        with recursive hinted (limit_id) as (       -- each limit once, whatever many rows it has
            (select f.limit_id from howdah.freed f order by f.limit_id limit 1)
            union all
            select (select f.limit_id from howdah.freed f where f.limit_id > h.limit_id order by f.limit_id limit 1)
              from hinted h where h.limit_id is not null
        )
        select h.limit_id from hinted h
         where h.limit_id is not null
           and (select true from howdah.blocked b where b.kind = 'limit' and b.limit_id = h.limit_id limit 1) is null
         limit i_limit);
    perform set_config('howdah.holds_limits', 'yes', true);      -- a claim of this transaction waits for none: see lock_limits
    v_held := array(select l.id from howdah.limits l where l.id = any (v_hinted) order by l.id for update skip locked);
    with idle as materialized (
        select h.id from unnest(v_hinted) h (id)
         where (select true from howdah.blocked b where b.kind = 'limit' and b.limit_id = h.id limit 1) is null
           and (h.id = any (v_held) or not exists (select from howdah.limits l where l.id = h.id))
    ), freed as (
        delete from howdah.freed f using idle i where f.limit_id = i.id returning f.limit_id, f.slots
    ), sums as materialized (
        select f.limit_id, sum(f.slots)::integer as slots from freed f group by f.limit_id
    ), forgotten as (
        delete from howdah.limits l using sums s
         where l.id = s.limit_id and l.kind = 'key' and not l.by_hand and l.used <= s.slots
    ), kept as (
        update howdah.limits l set used = l.used - s.slots from sums s
         where l.id = s.limit_id and s.slots <> 0 and not (l.kind = 'key' and not l.by_hand and l.used <= s.slots)
    )
    select count(*) into v_count from freed;
    return v_count;
end;
$$;

comment on function howdah.fold_limits is 'Fold what was freed, forget keys that nobody uses.';


-- howdah.check_room: refuses a publish into a full queue: JB008.
--
-- Counts what is committed, and what the caller itself has published: publishers do not wait for each other, so those that are
-- in flight at once may together pass the bound by what they bring.
create or replace function howdah.check_room(i_queue text, i_jobs bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_most    constant integer := (select q.max_waiting from howdah.queue q where q.queue = i_queue);
    v_waiting bigint;
begin
    if v_most is null then
        return;
    end if;
    v_waiting := howdah.waiting_in(i_queue, v_most);
    if v_waiting + i_jobs > v_most then
        perform howdah.queue_full(i_queue, v_most, howdah.room_after(i_queue, v_most));
    end if;
end;
$$;

comment on function howdah.check_room is 'Refuse a publish into a full queue.';


-- howdah.waiting_in: how many jobs of a queue are ready or wait for a limit; counts to i_most only.
create or replace function howdah.waiting_in(i_queue text, i_most bigint)
    returns bigint
    language sql
    volatile
    set search_path = pg_catalog, pg_temp
    set enable_bitmapscan = off
as $$
    select count(*)
      from (select from (
                select from howdah.lane l
                 cross join lateral (
                       select from howdah.ready r
                        where r.queue = l.queue and r.priority = l.priority and r.pos > l.floor limit i_most) x
                 where l.base = i_queue
                union all
                -- lanes that no tick has recorded: without a tenant, with labels, with a tenant
                select from (values (i_queue, i_queue || ' '), (i_queue || '+', i_queue || ','), (i_queue || '/', i_queue || '0')) n
                             (first, after)
                  join howdah.ready r on r.queue >= n.first and r.queue < n.after
                 where not exists (select from howdah.lane l where l.queue = r.queue and l.priority = r.priority)
                union all
                select from howdah.blocked b where b.kind = 'limit' and b.queue = i_queue) w
             limit i_most) counted;
$$;

comment on function howdah.waiting_in is 'How many jobs of a queue wait.';


-- howdah.room_after: seconds until a full queue may have room, from the age of its oldest job: by Little's law jobs leave a
-- queue of L jobs, the oldest of which has waited W, every W / L seconds. (J. D. C. Little, Operations Research 9, 1961.)
create or replace function howdah.room_after(i_queue text, i_most integer)
    returns numeric
    language sql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
    select round(least(greatest(extract(epoch from howdah.now() - min(j.created_at)) / greatest(i_most, 1), 0.1), 60), 1)
      from (select head.id
              from howdah.lane l
             cross join lateral (
                   select r.id from howdah.ready r
                    where r.queue = l.queue and r.priority = l.priority and r.pos > l.floor
                    order by r.queue, r.priority, r.pos limit 1) head
             where l.base = i_queue
            union all
            select first.id from (
                select r.id from howdah.ready r
                 where r.queue = i_queue and not exists (select from howdah.lane l where l.queue = i_queue)
                 order by r.queue, r.priority, r.pos limit 1) first) oldest
      join howdah.job j on j.id = oldest.id;
$$;

comment on function howdah.room_after is 'Seconds until a full queue may have room.';
