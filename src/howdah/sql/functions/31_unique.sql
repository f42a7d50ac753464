-- Unique keys: of the jobs published under a key one holds it, and who publishes meanwhile gets that job.
--
-- The row of a key names the job that holds it. No claim and no ack writes it: whether the job still holds the key is
-- judged from its state by whoever meets the row (howdah.is_held), and a row that is held no more is taken over. A job that
-- publishes under a key and is rolled back leaves nothing.
--
-- Who publishes under a key that another transaction is publishing under waits until that has ended. So keys are inserted
-- in key order, all of a call's before the first is taken over: two publishers cannot wait for each other.
-- Above READ COMMITTED what another transaction has done to a key meanwhile is a serialization failure, never a second job.

-- howdah.check_unique: what a publisher or a task says about uniqueness.
create or replace function howdah.check_unique(
    i_unique_key text, i_unique jsonb, i_unique_mode text, i_unique_until text, i_unique_for numeric)
    returns void
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if char_length(i_unique_key) not between 1 and 200 then
        perform howdah.refuse('unique_key', format('has %s characters', char_length(i_unique_key)),
            'Use 1 to 200 characters; hash longer keys.');
    elsif i_unique_key ~ '[\u0001-\u001f\u007f-\u009f]' then
        perform howdah.refuse('unique_key', 'contains a control character', 'Use printable characters.');
    end if;
    if not coalesce(howdah.is_unique_choice(i_unique), true) then
        perform howdah.refuse('unique', left(i_unique::text, 60) || ' chooses no arguments',
            'Give true, or up to 100 names of arguments: ["customer"].');
    end if;
    if i_unique_mode not in ('skip', 'replace', 'merge', 'reject') then
        perform howdah.refuse('unique_mode', format('%L is not a mode', left(i_unique_mode, 60)),
            'Modes: skip, replace, merge, reject.');
    elsif i_unique_until not in ('waiting', 'started', 'finished') then
        perform howdah.refuse('unique_until', format('%L is not a part of a job''s life', left(i_unique_until, 60)),
            'Give waiting, started or finished.');
    end if;
    perform howdah.check_number('unique_for', i_unique_for, 0, 3155760000);
    if i_unique_mode in ('replace', 'merge') and (i_unique_until = 'finished' or i_unique_for > 0) then
        perform howdah.refuse(case i_unique_until when 'finished' then 'unique_until' else 'unique_for' end,
            'does not go with ' || i_unique_mode,
            'Only a job that waits can be changed: give waiting or started, and no unique_for.');
    end if;
end;
$$;

comment on function howdah.check_unique is 'Refuse what cannot be said about uniqueness.';


-- howdah.may_be_unique: whether publications, of which this is the first, have to take unique keys: they say so themselves,
-- or some task does. Where they have taken them, the first one has its number.
create or replace function howdah.may_be_unique(i_first howdah.publication)
    returns boolean
    language sql
    volatile
    return i_first.uniqueness ->> 'number' is null
       and (i_first.uniqueness is not null or coalesce(pg_sequence_last_value('howdah.unique_tasks'::regclass), 0) > 0);

comment on function howdah.may_be_unique is 'Whether publications have to take unique keys.';


-- howdah.is_unique_choice: true, false, a list of names, or an object of name: [position, default], either left out.
create or replace function howdah.is_unique_choice(i_unique jsonb)
    returns boolean
    language plpgsql
    immutable strict
    set search_path = pg_catalog, pg_temp
as $$
begin
    return case jsonb_typeof(i_unique)
        when 'boolean' then true
        when 'array' then jsonb_array_length(i_unique) between 1 and 100
            and not jsonb_path_exists(i_unique, 'strict $[*] ? (@.type() != "string" || @ == "")')
        when 'object' then not jsonb_path_exists(i_unique, 'strict $.* ? (@.type() != "array")')
            and not exists (select from jsonb_each(i_unique) p where p.value ->> 0 !~ '^[0-9]{1,4}$')
            and (select count(*) <= 100 from jsonb_object_keys(i_unique))
        else false end;
end;
$$;

comment on function howdah.is_unique_choice is 'Whether a document chooses arguments.';


-- howdah.unique_key_of: the key that a choice makes of a body; null where the body lacks a chosen argument.
--
-- An argument is looked for by its name among kwargs, by its position among args, by its name in the body itself; else it
-- has its default. The key holds the task's name and a hash of the chosen arguments in jsonb's order.
create or replace function howdah.unique_key_of(i_task text, i_body jsonb, i_unique jsonb)
    returns text
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_chosen jsonb := '{}';
    v_name   text;
    v_place  jsonb;
    v_value  jsonb;
begin
    if coalesce(i_unique, 'false') = 'false' then
        return null;
    elsif i_unique = 'true' then
        v_chosen := coalesce(i_body, 'null');
    else
        for v_name, v_place in
            select a.name, '[]'::jsonb
              from jsonb_array_elements_text(case jsonb_typeof(i_unique) when 'array' then i_unique end) a (name)
            union all
            select o.name, o.place from jsonb_each(case jsonb_typeof(i_unique) when 'object' then i_unique end) o (name, place)
        loop
            -- SQL's null is "not there"; a JSON null is a value
            v_value := coalesce(i_body -> 'kwargs' -> v_name,
                case when jsonb_typeof(v_place -> 0) = 'number' then i_body -> 'args' -> (v_place ->> 0)::integer end,
                i_body -> v_name, v_place -> 1);
            if v_value is null then
                return null;
            end if;
            v_chosen := v_chosen || jsonb_build_object(v_name, v_value);
        end loop;
    end if;
    return i_task || ':' || encode(sha256(convert_to(v_chosen::text, 'UTF8')), 'hex');
end;
$$;

comment on function howdah.unique_key_of is 'The unique key that chosen arguments of a body make.';


-- howdah.with_unique_key: a publication's key and number, and all about it that was left to the task or to defaults.
create or replace function howdah.with_unique_key(i_job howdah.publication)
    returns howdah.uniqueness
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_own  howdah.uniqueness := jsonb_populate_record(null::howdah.uniqueness, i_job.uniqueness);
    v_task howdah.task;
begin
    perform howdah.check_unique(v_own.unique_key, v_own."unique", v_own.unique_mode, v_own.unique_until, v_own.unique_for);
    select t.* into v_task from howdah.task t where t.name = i_job.task collate "C";
    if v_own.unique_key is null then
        v_own.unique_key := howdah.unique_key_of(i_job.task, i_job.body, coalesce(v_own."unique", v_task."unique"));
        -- a body that does not fit its task's choice is the task's to refuse; its own choice must fit
        if v_own.unique_key is null and v_own."unique" <> 'false' then
            perform howdah.refuse('unique', format('the body lacks one of %s', left(v_own."unique"::text, 200)),
                'Name arguments or fields that the body has.');
        elsif v_own.unique_key is null and coalesce(v_own."unique", v_task."unique") is null then
            perform howdah.refuse(x.field, 'is given without a unique key', 'Give unique_key or unique, too.')
               from (values ('unique_mode', v_own.unique_mode), ('unique_until', v_own.unique_until),
                            ('unique_for', v_own.unique_for::text)) x (field, given)
              where x.given is not null;
        end if;
    end if;
    v_own.unique_mode := coalesce(v_own.unique_mode, v_task.unique_mode, 'skip');
    v_own.unique_until := coalesce(v_own.unique_until, v_task.unique_until,
        case when v_own.unique_mode in ('replace', 'merge') then 'waiting' else 'finished' end);
    v_own.unique_for := coalesce(v_own.unique_for, v_task.unique_for);
    if v_own.unique_key is null then
        v_own.unique_until := null;
    else
        perform howdah.check_unique(null, null, v_own.unique_mode, v_own.unique_until, v_own.unique_for);
        if v_own.unique_mode = 'merge' and howdah.merged_body(i_job.body, i_job.body) is null then
            perform howdah.refuse('body', 'holds no list that could grow', 'Give an argument or a field that is a list.');
        end if;
    end if;
    v_own.number := nextval('howdah.position_seq');
    return v_own;
end;
$$;

comment on function howdah.with_unique_key is 'What makes a publication unique, with its number and what its task says.';


-- howdah.is_held: whether the job named still holds the key: its time is not over, or its state is among those that count.
--
-- One snapshot, the calling statement's.
create or replace function howdah.is_held(i_key howdah.unique_key, i_now timestamptz)
    returns boolean
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_state constant howdah.state := howdah.state_of(i_key.job_id);
begin
    return coalesce(i_key.expires_at > i_now, false)
        or coalesce(case i_key.until
            when 'finished' then v_state in ('scheduled', 'blocked', 'ready', 'running')
            when 'waiting' then v_state in ('scheduled', 'blocked', 'ready')
            else v_state in ('scheduled', 'blocked', 'ready') and howdah.attempts_made(i_key.job_id) = 0 end, false);
end;
$$;

comment on function howdah.is_held is 'Whether a unique key is held still.';


-- howdah.attempts_made: attempts that a waiting job has made and counted; null when it does not wait.
create or replace function howdah.attempts_made(i_id bigint)
    returns integer
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select s.attempt from howdah.scheduled s where s.id = i_id
    union all select b.attempt from howdah.blocked b where b.id = i_id
    union all select r.attempt from howdah.job j join howdah.ready r on r.ctid = howdah.ready_position(j) where j.id = i_id
    limit 1;
$$;

comment on function howdah.attempts_made is 'Attempts of a waiting job.';


-- howdah.take_key: makes a publication's number the holder of its key, where the key is free; else does what its mode says.
-- Answers the job that holds the key, null: the number given does now.
--
-- Locks: the key's row. Judged twice, without and with the lock: who only looks (skip) waits for nobody.
create or replace function howdah.take_key(i_job howdah.publication, i_own howdah.uniqueness, i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_key howdah.unique_key;
begin
    for v_try in 1..1000 loop
        select u.* into v_key from howdah.unique_key u where u.key = i_own.unique_key collate "C";
        if found and howdah.is_held(v_key, i_now) then
            if i_own.unique_mode = 'skip' then
                return v_key.job_id;
            elsif i_own.unique_mode = 'reject' then
                perform howdah.duplicate_job(v_key.key, howdah.job_name(v_key.job_id));
            end if;
        end if;
        select u.* into v_key from howdah.unique_key u where u.key = i_own.unique_key collate "C" for update;
        if not found then           -- a chore has removed it
            insert into howdah.unique_key (key, job_id, until, expires_at, look_at)
            select k.* from howdah.key_row(i_job, i_own, i_now) k on conflict (key) do nothing;
            if found then
                return null;
            end if;
            continue;
        elsif not howdah.is_held(v_key, i_now) then
            perform howdah.pass_key(v_key, i_job, i_own, i_now);
            return null;
        end if;
        continue when i_own.unique_mode in ('skip', 'reject');      -- held again: a finished job was retried
        if not howdah.change_waiting(v_key, i_job, i_own.unique_mode, i_now) then
            perform howdah.pass_key(v_key, i_job, i_own, i_now);
            return null;
        end if;
        return v_key.job_id;
    end loop;
    perform howdah.duplicate_job(i_own.unique_key, howdah.job_name(v_key.job_id));
end;
$$;

comment on function howdah.take_key is 'Take a unique key, or do to its holder what the mode says.';


-- howdah.key_row: the row that says that a publication holds its key.
create or replace function howdah.key_row(i_job howdah.publication, i_own howdah.uniqueness, i_now timestamptz)
    returns howdah.unique_key
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select i_own.unique_key, i_own.number, i_own.unique_until,
           case when i_own.unique_for > 0 then i_now + howdah.seconds(i_own.unique_for::double precision) end,
           greatest(i_now + howdah.seconds(greatest(coalesce(i_own.unique_for, 0), 60)::double precision),
                    howdah.due(i_job.scheduled_at, i_job.delay, i_now));
$$;

comment on function howdah.key_row is 'The row of a key that a publication takes.';


-- howdah.pass_key: a key from the job that held it to a publication. Locks: the key's row, which the caller holds.
create or replace function howdah.pass_key(
    i_key howdah.unique_key, i_job howdah.publication, i_own howdah.uniqueness, i_now timestamptz)
    returns void
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    update howdah.unique_key u
       set (job_id, until, expires_at, look_at) = (
           select k.job_id, k.until, k.expires_at, k.look_at from howdah.key_row(i_job, i_own, i_now) k)
     where u.key = i_key.key and u.job_id = i_key.job_id;
$$;

comment on function howdah.pass_key is 'Pass a unique key on.';


-- howdah.job_name: what users call a job, also one that is gone.
create or replace function howdah.job_name(i_id bigint)
    returns text
    language sql
    stable
    set search_path = pg_catalog, pg_temp
    return howdah.public_id(i_id, (select j.key from howdah.job j where j.id = i_id));

comment on function howdah.job_name is 'The job_id of a number.';


-- howdah.publish_unique: jobs of which some are unique, in the order given. Numbers are drawn in that order, so that jobs
-- keep it; keys are taken round by round, because a key given twice meets itself.
create or replace function howdah.publish_unique(i_jobs howdah.publication[])
    returns setof jobs.published
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now     constant timestamptz := howdah.now();
    v_own     constant howdah.uniqueness[] := array(
        select howdah.with_unique_key(i_jobs[n]) from generate_subscripts(i_jobs, 1) n);
    v_last    constant bigint := coalesce((select max(g.round) from howdah.rounds(v_own) g), 0);
    v_jobs    howdah.publication[] := i_jobs;
    v_answers jobs.published[];
    v_new     integer[];
    v_met     integer[];
    v_n       integer;
    v_holder  bigint;
    v_row     record;
begin
    for n in 1..cardinality(i_jobs) loop
        v_jobs[n].uniqueness := to_jsonb(v_own[n]);
    end loop;
    for v_round in 1..v_last loop
        v_met := array(select g.n from howdah.rounds(v_own) g where g.round = v_round);
        with taken as (
            insert into howdah.unique_key (key, job_id, until, expires_at, look_at)
            select k.* from unnest(v_met) m (n) cross join lateral howdah.key_row(v_jobs[m.n], v_own[m.n], v_now) k
             where k.key is not null order by k.key collate "C"
            on conflict (key) do nothing returning job_id
        )
        select array(select m.n from unnest(v_met) m (n)
                      where (v_own[m.n]).unique_key is null or (v_own[m.n]).number in (select t.job_id from taken t))
          into v_new;
        foreach v_n in array array(
            select m.n from unnest(v_met) m (n) where m.n <> all (v_new) order by (v_own[m.n]).unique_key collate "C")
        loop
            v_holder := howdah.take_key(v_jobs[v_n], v_own[v_n], v_now);
            if v_holder is null then
                v_new := v_new || v_n;
            else
                v_answers[v_n] := row(howdah.job_name(v_holder), v_holder, howdah.state_of(v_holder)::text, false);
            end if;
        end loop;
        v_new := array(select n.n from unnest(v_new) n (n) order by n.n);
        for v_row in
            select v_new[p.ordinality] as n, p.*
              from howdah.publish_jobs(array(select v_jobs[m.n] from unnest(v_new) m (n))) with ordinality p
             where v_new <> '{}'
        loop
            v_answers[v_row.n] := row(v_row.job_id, v_row.id, v_row.state, v_row.created);
            -- its own key existed: what was not published holds nothing
            delete from howdah.unique_key u
             where not v_row.created and u.key = (v_own[v_row.n]).unique_key collate "C"
               and u.job_id = (v_own[v_row.n]).number;
        end loop;
    end loop;
    return query select a.* from unnest(v_answers) a;
end;
$$;

comment on function howdah.publish_unique is 'Publish jobs of which some are unique.';


-- howdah.rounds: the n-th time that a key is given belongs to the n-th round.
create or replace function howdah.rounds(i_own howdah.uniqueness[], out n integer, out round bigint)
    returns setof record
    language sql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
    select u.ordinality::integer,
           case when u.unique_key is null then 1
                else row_number() over (partition by u.unique_key order by u.ordinality) end
      from unnest(i_own) with ordinality u order by u.ordinality;
$$;

comment on function howdah.rounds is 'In which round each publication takes its key.';


-- howdah.publish_bodies_unique: publish_bodies for a task that makes its jobs unique.
create or replace function howdah.publish_bodies_unique(i_like howdah.publication, i_bodies jsonb[])
    returns bigint[]
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_jobs howdah.publication[] := array_fill(i_like, array[cardinality(i_bodies)]);
begin
    for n in 1..cardinality(i_bodies) loop
        v_jobs[n].body := i_bodies[n];
    end loop;
    return array(select p.id from howdah.publish_jobs(v_jobs) with ordinality p order by p.ordinality);
end;
$$;

comment on function howdah.publish_bodies_unique is 'Publish jobs that differ in their bodies, some of which may be there.';
