-- What happens to the job that holds a unique key: it is changed by replace and merge, keeps its key through a retry, and
-- leaves it behind when it is gone.

-- howdah.hold_waiting: locks a waiting job's row wherever it lies. state: where; null: it does not wait; 'taken': somebody has
-- held it for a second.
--
-- Chores hold a row for a moment, and what they move still waits: that is worth waiting for. A plain consumer may hold it for
-- hours, and has started the job, whatever it commits in the end.
create or replace function howdah.hold_waiting(i_id bigint, out state text, out attempt integer)
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '1s'
as $$
begin
    for v_try in 1..1000 loop
        state := howdah.state_of(i_id);
        if state = 'scheduled' then
            select s.attempt into attempt from howdah.scheduled s where s.id = i_id for update;
        elsif state = 'blocked' then
            select b.attempt into attempt from howdah.blocked b where b.id = i_id for update;
        elsif state = 'ready' then
            select r.attempt into attempt from howdah.ready r
             where r.ctid = (select howdah.ready_position(j) from howdah.job j where j.id = i_id) and r.id = i_id for update;
        else
            state := null;
            return;
        end if;
        if attempt is not null then
            return;
        end if;
    end loop;
    state := 'taken';
exception when lock_not_available then
    state := 'taken';
end;
$$;

comment on function howdah.hold_waiting is 'Lock a waiting job wherever it lies, within a second.';


-- howdah.change_waiting: replace or merge: what a publication brings ─► the waiting job that holds the key. False: the job
-- has started or can take no more, so that the key goes to a job of its own.
--
-- Locks: the key's row, which the caller holds, then the job's state row. That row is written in every case: a claim whose
-- snapshot is older must not start the job with the old body.
create or replace function howdah.change_waiting(
    i_key howdah.unique_key, i_job howdah.publication, i_mode text, i_now timestamptz)
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_held record;
    v_body jsonb;
begin
    v_held := howdah.hold_waiting(i_key.job_id);
    if i_mode = 'merge' then
        select howdah.merged_body(j.body, i_job.body) into v_body from howdah.job j where j.id = i_key.job_id;
    end if;
    if v_held.state is null or v_held.state = 'taken' or i_key.until = 'started' and v_held.attempt > 0
       or i_mode = 'merge' and octet_length(v_body::text) > 1048576 then
        if (i_key.until = 'finished' or i_key.expires_at > i_now) and howdah.is_held(i_key, i_now) then
            -- it was published to be alone until it has finished, or for some time
            perform howdah.duplicate_job(i_key.key, howdah.job_name(i_key.job_id));
        end if;
        return false;
    elsif i_mode = 'replace' then
        perform howdah.replace_job(i_key.job_id, v_held.state, v_held.attempt, i_job, i_now);
        return true;
    elsif v_body is null then
        perform howdah.refuse('body', format('does not fit the body of job %s, which holds the key', howdah.job_name(i_key.job_id)),
            'What is merged has its lists in the same places.');
    end if;
    update howdah.job j set body = v_body where j.id = i_key.job_id;
    perform howdah.touch_ready(i_key.job_id);
    return true;
end;
$$;

comment on function howdah.change_waiting is 'Replace a waiting job, or merge into it.';


-- howdah.touch_ready: a new version of a job's row in ready, at the same place.
create or replace function howdah.touch_ready(i_id bigint)
    returns void
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    update howdah.ready r set attempt = r.attempt
     where r.ctid = (select howdah.ready_position(j) from howdah.job j where j.id = i_id) and r.id = i_id;
$$;

comment on function howdah.touch_ready is 'Have claims with an older snapshot pass over a ready job.';


-- howdah.replace_job: a waiting job gets everything from a publication but its number, its key and its place in its lane.
--
-- scheduled, ready ─► scheduled or ready, as the publication says; blocked stays, unless for arguments that did not fit or for a limit.
create or replace function howdah.replace_job(
    i_id bigint, i_state text, i_attempt integer, i_job howdah.publication, i_now timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_run_at constant timestamptz := howdah.due(i_job.scheduled_at, i_job.delay, i_now);
    v_old    howdah.job;
    v_new    howdah.job;
begin
    select j.* into v_old from howdah.job j where j.id = i_id;
    update howdah.job j
       set (queue, task, body, priority, max_retries, timeout, backoff, scheduled_at, expires_at, result_ttl, failure_ttl,
            headers, meta, concurrency_key, concurrency_limit, slots, tenant, requires) = (
           select g.queue, g.task, g.body, g.priority, g.max_retries, g.timeout, g.backoff, g.scheduled_at, g.expires_at,
                  g.result_ttl, g.failure_ttl, g.headers, g.meta, g.concurrency_key, g.concurrency_limit, g.slots, g.tenant,
                  g.requires
             from howdah.jobs_of(array[i_job], i_now) g)
     where j.id = i_id;
    select j.* into v_new from howdah.job j where j.id = i_id;
    -- what somebody holds is left to expire, which drops what is not the job's any more
    delete from howdah.expiry e where e.ctid = any (array(
        select x.ctid from howdah.expiry x where x.expires_at = v_old.expires_at and x.id = i_id for update skip locked));
    insert into howdah.expiry (expires_at, id) select v_new.expires_at, i_id where v_new.expires_at is not null;
    if i_state = 'blocked' and (
            v_old.task = v_new.task and not exists (select from howdah.blocked b where b.id = i_id and b.kind in ('arguments', 'limit'))
            or exists (select from howdah.blocked b where b.id = i_id and b.kind not in ('task', 'arguments', 'limit'))) then
        update howdah.blocked b set task = v_new.task where b.id = i_id;
    elsif v_run_at is null and i_state = 'ready'
          and (v_old.queue, v_old.priority, v_old.task, v_old.tenant, v_old.requires, v_old.concurrency_key)
              is not distinct from
              (v_new.queue, v_new.priority, v_new.task, v_new.tenant, v_new.requires, v_new.concurrency_key) then
        perform howdah.touch_ready(i_id);
    else
        perform howdah.move_replaced(i_id, v_old, i_attempt, v_run_at);
    end if;
end;
$$;

comment on function howdah.replace_job is 'Give a waiting job what a publication says.';


-- howdah.move_replaced: a waiting job ─► scheduled or ready. Its row in ready lies where its old queue and priority say.
create or replace function howdah.move_replaced(i_id bigint, i_old howdah.job, i_attempt integer, i_run_at timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from howdah.ready r where r.ctid = howdah.ready_position(i_old) and r.id = i_id;
    perform howdah.take_waiting(i_id);
    if i_run_at is null then
        perform howdah.make_ready(i_id, i_attempt);
    else
        perform howdah.make_scheduled(i_id, i_attempt, i_run_at);
    end if;
end;
$$;

comment on function howdah.move_replaced is 'Move a waiting job to where its new options say.';


-- howdah.merged_body: two bodies as one: their lists are joined, in args by place and in kwargs or other objects by name; of
-- anything else the newer one counts. Null: they have no list in the same place.
create or replace function howdah.merged_body(i_old jsonb, i_new jsonb)
    returns jsonb
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_args   jsonb;
    v_fields jsonb;
begin
    if jsonb_typeof(i_old) = 'array' and jsonb_typeof(i_new) = 'array' then
        return i_old || i_new;
    elsif jsonb_typeof(i_old) is distinct from 'object' or jsonb_typeof(i_new) is distinct from 'object' then
        return null;
    elsif (i_old - '{args,kwargs}'::text[]) || (i_new - '{args,kwargs}'::text[]) <> '{}' then
        return howdah.joined_fields(i_old, i_new);
    end if;
    v_args := howdah.joined_args(coalesce(i_old -> 'args', '[]'), coalesce(i_new -> 'args', '[]'));
    v_fields := howdah.joined_fields(coalesce(i_old -> 'kwargs', '{}'), coalesce(i_new -> 'kwargs', '{}'));
    if v_args is null and v_fields is null then
        return null;
    end if;
    return i_old || i_new
        || case when v_args is null then '{}' else jsonb_build_object('args', v_args) end
        || case when v_fields is null then '{}' else jsonb_build_object('kwargs', v_fields) end;
end;
$$;

comment on function howdah.merged_body is 'Two bodies as one.';


-- howdah.joined_args: positional arguments, lists in the same place joined; null: there are none.
create or replace function howdah.joined_args(i_old jsonb, i_new jsonb)
    returns jsonb
    language sql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
    select case when bool_or(jsonb_typeof(x.old) = 'array' and jsonb_typeof(x.new) = 'array') then
               jsonb_agg(case when jsonb_typeof(x.old) = 'array' and jsonb_typeof(x.new) = 'array' then x.old || x.new
                              else coalesce(x.new, x.old) end order by x.n) end
      from (select n, i_old -> n as old, i_new -> n as new
              from generate_series(0, greatest(jsonb_array_length(i_old), jsonb_array_length(i_new)) - 1) n) x;
$$;

comment on function howdah.joined_args is 'Positional arguments of two bodies as one list.';


-- howdah.joined_fields: fields of two objects, lists of the same name joined; null: there are none.
create or replace function howdah.joined_fields(i_old jsonb, i_new jsonb)
    returns jsonb
    language sql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
    select case when count(*) > 0 then i_old || i_new || jsonb_object_agg(o.name, o.value || (i_new -> o.name)) end
      from jsonb_each(i_old) o (name, value)
     where jsonb_typeof(o.value) = 'array' and jsonb_typeof(i_new -> o.name) = 'array';
$$;

comment on function howdah.joined_fields is 'Fields of two bodies as one object.';


-- howdah.take_key_again: before a finished job lives again: its unique key, where nobody holds it; JB009 where somebody does.
--
-- Written even when it is the job's own: a publisher above READ COMMITTED must not take it over by an old snapshot.
create or replace function howdah.take_key_again(i_id bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := howdah.now();
    v_job howdah.job;
    v_key howdah.unique_key;
begin
    select j.* into v_job from howdah.job j where j.id = i_id;
    if v_job.unique_key is null then
        return;
    end if;
    insert into howdah.unique_key (key, job_id, until, look_at)
    values (v_job.unique_key, i_id, v_job.unique_until, v_now + interval '1 min') on conflict (key) do nothing;
    if found then
        return;
    end if;
    select u.* into v_key from howdah.unique_key u where u.key = v_job.unique_key collate "C" for update;
    if v_key.job_id <> i_id and howdah.is_held(row(v_key.key, v_key.job_id, v_key.until, null, v_key.look_at), v_now) then
        perform howdah.duplicate_job(v_key.key, howdah.job_name(v_key.job_id));
    end if;
    update howdah.unique_key u set job_id = i_id, until = v_job.unique_until where u.key = v_key.key;
end;
$$;

comment on function howdah.take_key_again is 'Give a finished job that is retried its unique key again.';


-- howdah.free_key_of: the key of a job that is deleted by hand, also before its time is over. Never waits: a publisher that
-- holds the row takes the key over anyway.
create or replace function howdah.free_key_of(i_id bigint)
    returns void
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    delete from howdah.unique_key u
     where u.ctid = any (array(
           select k.ctid from howdah.job j join howdah.unique_key k on k.key = j.unique_key
            where j.id = i_id and k.job_id = i_id for update of k skip locked));
$$;

comment on function howdah.free_key_of is 'Free the unique key of a job.';


-- howdah.free_keys: rows of keys that nobody holds any more ─► gone; the others are looked at again later, the later the
-- longer their jobs have been waiting.
--
-- Locks: the rows, SKIP LOCKED; judged by a statement of its own, whose snapshot is younger than the lock.
create or replace function howdah.free_keys(i_now timestamptz, i_limit integer)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_first constant timestamptz := howdah.first_look(i_now);
    v_rows  tid[];
    v_freed tid[];
begin
    if v_first is null or v_first > i_now then
        return 0;
    end if;
    v_rows := array(select u.ctid from howdah.unique_key u where u.look_at >= v_first and u.look_at <= i_now
                     order by u.look_at limit i_limit for update skip locked);
    v_freed := array(select u.ctid from howdah.unique_key u where u.ctid = any (v_rows) and not howdah.is_held(u, i_now));
    delete from howdah.unique_key u where u.ctid = any (v_freed);
    update howdah.unique_key u
       set look_at = greatest(u.expires_at, i_now + coalesce((
               select least(greatest(i_now - j.created_at, interval '1 min'), interval '6 hours')
                 from howdah.job j where j.id = u.job_id), interval '1 min'))
     where u.ctid = any (v_rows) and u.look_at <= i_now;
    return cardinality(v_freed);
end;
$$;

comment on function howdah.free_keys is 'Remove unique keys that nobody holds.';


-- howdah.first_look: when the first key is to be looked at; null: there is none.
create or replace function howdah.first_look(i_now timestamptz)
    returns timestamptz
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_from  constant timestamptz := howdah.search_from('howdah.search_unique', i_now);
    v_pages constant bigint := howdah.pages_read('howdah.unique_key', 'howdah.unique_key_look');
    v_began constant timestamptz := clock_timestamp();
    v_first timestamptz;
begin
    select u.look_at into v_first from howdah.unique_key u where u.look_at >= v_from order by u.look_at limit 1;
    perform howdah.end_search('howdah.search_unique', v_from, v_first, i_now,
        howdah.pages_read('howdah.unique_key', 'howdah.unique_key_look') - v_pages, v_began);
    return v_first;
end;
$$;

comment on function howdah.first_look is 'When the first unique key is to be looked at.';


-- howdah.why_unique: what a job's unique key means for others, in words; empty: it holds none.
create or replace function howdah.why_unique(i_id bigint, i_now timestamptz)
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_key howdah.unique_key;
begin
    select u.* into v_key from howdah.job j join howdah.unique_key u on u.key = j.unique_key and u.job_id = j.id where j.id = i_id;
    if not found or not howdah.is_held(v_key, i_now) then
        return '';
    end if;
    return format(' It holds the unique key %L%s%s.', v_key.key,
        case when howdah.is_held(row(v_key.key, i_id, v_key.until, null, v_key.look_at), i_now)
             then case v_key.until when 'waiting' then ' while it waits' else ' until it has ' || v_key.until end end,
        case when v_key.expires_at > i_now then format(', until %s in any case', date_trunc('second', v_key.expires_at)) end);
end;
$$;

comment on function howdah.why_unique is 'Which unique key a job holds, and for how long.';


-- Who holds a key holds it alone.
create or replace function howdah.fsck_unique()
    returns table (violation text, job_id bigint, detail text)
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select 'unique key of a job that was published under another', u.job_id, u.key
      from howdah.unique_key u join howdah.job j on j.id = u.job_id
     where j.unique_key is distinct from u.key or j.unique_until <> u.until
    union all
    select 'unique key that nobody looks at', u.job_id, u.key from howdah.unique_key u
     where u.look_at > greatest(howdah.now() + interval '1 day', u.expires_at,
                                (select s.run_at from howdah.scheduled s where s.id = u.job_id),
                                (select j.scheduled_at from howdah.job j where j.id = u.job_id))
    union all
    select 'unique key of a job never published', u.job_id, u.key from howdah.unique_key u
     where u.job_id > (select case when is_called then last_value else 0 end from howdah.position_seq)
    union all
    select 'unique key held twice', min(j.id), format('%s: %s jobs', j.unique_key, count(*)) from howdah.job j
     where j.unique_until = 'finished' and not exists (select from howdah.finished f where f.id = j.id)
     group by j.unique_key having count(*) > 1
    union all
    select 'unfinished without the unique key it was published under', j.id, j.unique_key from howdah.job j
     where j.unique_until = 'finished' and not exists (select from howdah.finished f where f.id = j.id)
       and not exists (select from howdah.unique_key u where u.key = j.unique_key and u.job_id = j.id);
$$;

comment on function howdah.fsck_unique is 'Violations among unique keys.';
