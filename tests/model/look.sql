-- What the model tests see of a database: every state row, whatever is said about it, and a way back to emptiness.
-- Superuser's tools in the tests' own schema; nothing of this ships.

-- Uniform rows, so that one statement shows everything; infinity, which no driver reads, is the flag 1 in c.
create function howdah_test.look()
    returns table (place text, id bigint, a bigint, b bigint, c bigint, t timestamptz, u timestamptz, x text, y text)
    language plpgsql
    set plan_cache_mode = force_generic_plan
as $$
begin
    return query
        select 'ready', r.id, r.attempt::bigint, r.priority::bigint, r.pos, null::timestamptz, null::timestamptz,
               r.queue, r.task from howdah.ready r
        union all
        select 'scheduled', s.id, s.attempt, null, null, s.run_at, null, null, null from howdah.scheduled s
        union all
        select 'blocked', b.id, b.attempt, nullif(b.pending, 0), null, null, null, b.kind, b.task
          from howdah.blocked b where b.kind <> 'limit'
        union all
        select 'line', b.id, b.attempt, b.priority, b.pos, null, null, b.lane, coalesce(l.kind || ' ' || l.name, b.limit_id::text)
          from howdah.blocked b left join howdah.limits l on l.id = b.limit_id where b.kind = 'limit'
        union all
        select 'limit', null, l.max_running, l.rate, (l.adopted_at is not null)::integer, null, null,
               l.kind || ' ' || l.name, l.per::text
          from howdah.limits l where l.by_hand
        union all
        select 'edge', e.child, e.parent, e.settled::integer, e.allow_failure::integer, null, null, null, null from howdah.edge e
        union all
        select 'running', r.id, r.attempt, r.run_id, r.worker_id, r.started_at, r.deadline,
               (select string_agg(concat_ws(' ', l.kind, l.name, h.slots), ', ' order by l.kind, l.name)
                  from howdah.slots_held(r.held) h left join howdah.limits l on l.id = h.limit_id), null
          from howdah.running r
        union all
        select f.state::text, f.id, f.attempt, f.run_id, (f.prune_at = 'infinity')::integer, f.started_at,
               nullif(f.prune_at, 'infinity'), f.kind, f.result::text from howdah.finished f
        union all
        select 'failure', f.job_id, f.attempt, f.run_id, null, null, null, f.kind, null from howdah.failure f
        union all
        select 'suspect', s.id, null, null, null, null, null, null, null from howdah.suspect s
        union all
        select 'expiry', e.id, null, null, null, e.expires_at, null, null, null from howdah.expiry e
        union all
        select 'notice', n.id, n.run_id, n.worker_id, null, null, null, n.verdict, null from howdah.notice n
        union all
        select 'worker', w.id, null, null, null, b.beat_at, null, null, null
          from howdah.worker w left join howdah.beat b on b.worker_id = w.id
        union all
        select 'paused', null, null, null, null, null, null, q.queue, null
          from howdah.queue q where q.paused_at is not null
        union all
        select 'job', j.id, null, null, null, null, null, j.key, j.task from howdah.job j;
end;
$$;

-- Why each unfinished job does not run.
create function howdah_test.reasons()
    returns table (id bigint, sentence text)
    language sql
as $$
    select l.id, jobs.why(l.id::text) from howdah.lying l where l.place <> 'finished';
$$;

-- Everything but registers, digested: equal before and after means that nothing changed.
create function howdah_test.digest()
    returns text
    language plpgsql
as $$
declare
    v_table regclass;
    v_rows  text;
    v_total text := '';
begin
    for v_table in
        select c.oid from pg_class c
         where c.relnamespace = 'howdah'::regnamespace and c.relkind = 'r' order by c.relname
    loop
        execute format('select md5(string_agg(t::text, %L order by t::text)) from %s t', ';', v_table) into v_rows;
        v_total := v_total || v_table || coalesce(v_rows, '') || ';';
    end loop;
    return md5(v_total);
end;
$$;

-- Empties all tables and sets the clock. Numbers start at different places, so that none is taken for another.
-- Rows are deleted: truncate would throw away every plan of the session; it comes now and then for the dead rows.
create function howdah_test.reset(i_now timestamptz, i_truncate boolean)
    returns void
    language plpgsql
as $$
declare
    v_table regclass;
begin
    if i_truncate then
        execute (select 'truncate ' || string_agg(c.oid::regclass::text, ', ') from pg_class c
                  where c.relnamespace = 'howdah'::regnamespace and c.relkind = 'r'
                    and c.relname not in ('migration', 'settle', 'birth'));
    else
        for v_table in
            select c.oid from pg_class c
             where c.relnamespace = 'howdah'::regnamespace and c.relkind = 'r'
               and c.relname not in ('migration', 'settle', 'birth')
        loop
            execute format('delete from %s', v_table);
        end loop;
    end if;
    update howdah.settle set settled = 0, candidate = 0, holders = '{}', candidate_at = '-infinity';
    perform setval('howdah.position_seq', 1, false), setval('howdah.run_seq', 1001, false),
            setval('howdah.worker_seq', 101, false), setval('howdah.last_tick', 0, false),
            setval('howdah.search_ended', 0, false), setval('howdah.settled_to', 0, false),
            setval('howdah.last_discovery', 0, false), setval('howdah.last_stray_check', 0, false),
            setval('howdah.controls', 0, false), setval('howdah.bounds', 0, false), setval('howdah.turn', 0, false);
    insert into howdah_test.clock (at) values (i_now) on conflict (only_row) do update set at = excluded.at;
end;
$$;

-- publish_bulk with its array of a composite type written as JSON.
create function howdah_test.publish_bulk(i_jobs jsonb)
    returns setof jobs.published
    language sql
as $$
    select p.* from jobs.publish_bulk(array(select b from jsonb_populate_recordset(null::jobs.bulk_job, i_jobs) b)) p;
$$;
