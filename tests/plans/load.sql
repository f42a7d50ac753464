-- Many jobs in the way, in every state, written directly: publishing them would take minutes.
create schema load;

create function load.fill(i_count bigint) returns void language plpgsql as $$
declare
    v_now   constant timestamptz := clock_timestamp();
    v_table regclass;
begin
    for v_table in select c.oid from pg_class c where c.relnamespace = 'howdah'::regnamespace and c.relkind = 'r' loop
        execute format('alter table %s set (autovacuum_enabled = false)', v_table);
    end loop;
    insert into howdah.job (id, key, queue, task, body, priority, created_at, scheduled_at)
    select n, case when n % 10 = 0 then 'key-' || n end, 'q' || n % 5, 'demo.task', '{"args": [1, 2]}', n % 3, v_now,
           case when n between i_count + 1 and 2 * i_count then v_now + interval '1 day' end
      from generate_series(1, 5 * i_count) n;
    insert into howdah.ready (queue, priority, pos, id, attempt, task)
    select 'q' || n % 5, n % 3, n, n, 0, 'demo.task' from generate_series(1, i_count) n;
    insert into howdah.scheduled (id, run_at, attempt)
    select n, v_now + interval '1 day' + n * interval '1 ms', 0 from generate_series(i_count + 1, 2 * i_count) n;
    insert into howdah.finished (id, state, run_id, attempt, started_at, finished_at, result)
    select n, 'succeeded', nextval('howdah.run_seq'), 1, v_now - interval '2 h', v_now - interval '1 h', '3'
      from generate_series(2 * i_count + 1, 3 * i_count) n;
    insert into howdah.blocked (id, kind, task, attempt, blocked_at)
    select n, 'task', 'unknown.task', 0, v_now from generate_series(3 * i_count + 1, 4 * i_count) n;
    update howdah.job set task = 'unknown.task' where id > 3 * i_count and id <= 4 * i_count;
    -- each waits for a job of its own that is due later, a tenth of them for the same one
    insert into howdah.blocked (id, kind, task, attempt, pending, blocked_at)
    select n, 'parent', 'demo.task', 0, 1, v_now from generate_series(4 * i_count + 1, 5 * i_count) n;
    insert into howdah.edge (child, parent, allow_failure, settled)
    select n, case when n % 10 = 0 then i_count + 1 else n - 3 * i_count end, false, true
      from generate_series(4 * i_count + 1, 5 * i_count) n;
    perform nextval('howdah.dependencies');
    perform setval('howdah.position_seq', 5 * i_count);
    insert into howdah.lane (queue, priority, moved_at)
    select 'q' || q, p, v_now from generate_series(0, 4) q, generate_series(0, 2) p;
end;
$$;

-- Runs must not become overdue while the tests go on.
create function load.give_time() returns void language sql as $$
    update howdah.running set deadline = deadline + interval '1 day';
$$;

-- What the planner believes: nothing; that every table has one row; or, after analyze, the truth.
create function load.believe(i_rows real) returns void language plpgsql as $$
begin
    delete from pg_statistic s using pg_class c where c.oid = s.starelid and c.relnamespace = 'howdah'::regnamespace;
    update pg_class c set reltuples = i_rows, relpages = greatest(i_rows, 0)
     where c.relnamespace = 'howdah'::regnamespace and c.relkind in ('r', 'i');
end;
$$;

-- Rows that this transaction has read from the tables, one after the other or by an index.
create function load.rows_read() returns table (name text, sequentially bigint, by_index bigint) language sql as $$
    select t.relname::text, t.seq_tup_read, coalesce(t.idx_tup_fetch, 0)
      from pg_stat_xact_user_tables t
     where t.schemaname = 'howdah' and t.seq_tup_read + coalesce(t.idx_tup_fetch, 0) > 0;
$$;
