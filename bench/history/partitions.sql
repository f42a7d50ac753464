-- job and finished as the engine has them, in i_parts partitions by number.
create schema scratch;

create procedure scratch.make(i_parts bigint, i_rows bigint) language plpgsql as $$
declare
    v_table text;
begin
    foreach v_table in array array['job', 'finished'] loop
        execute format('create table scratch.%1$s%2$s (like howdah.%1$s including defaults) partition by range (id)', v_table, i_parts);
        execute format('alter table scratch.%s%s add primary key (id)', v_table, i_parts);
        for v_part in 0..i_parts - 1 loop
            execute format('create table scratch.%1$s%2$s_%3$s partition of scratch.%1$s%2$s for values from (%4$s) to (%5$s)',
                v_table, i_parts, v_part, v_part * i_rows / i_parts + 1,
                case when v_part = i_parts - 1 then 1000000000000 else (v_part + 1) * i_rows / i_parts + 1 end);
        end loop;
    end loop;
    execute format('create index on scratch.finished%s (finished_at) where prune_at is null', i_parts);
end;
$$;

create procedure scratch.fill(i_parts bigint, i_rows bigint) language plpgsql as $$
begin
    execute format($f$insert into scratch.job%s (id, queue, task, body, created_at)
        select n, 'q' || n %% 5, 'shop.mails.send_welcome',
               jsonb_build_object('args', jsonb_build_array(n, 'user-' || n || '@example.com'),
                                  'kwargs', jsonb_build_object('locale', 'en')), now()
          from generate_series(1, %s) n$f$, i_parts, i_rows);
    execute format($f$insert into scratch.finished%s (id, state, run_id, attempt, started_at, finished_at, result)
        select n, case when n %% 100 = 0 then 'failed' else 'succeeded' end::howdah.state, n, 1, now(), now(), '{"sent": true}'
          from generate_series(1, %s) n$f$, i_parts, i_rows);
end;
$$;

-- A hundred jobs looked up by number, as a claim does; a hundred ends recorded, as an ack does.
create procedure scratch.look_up(i_parts bigint, i_times bigint, i_rows bigint) language plpgsql
    set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    v_ids   bigint[];
    v_count bigint;
begin
    for v_time in 1..i_times loop
        v_ids := array(select i_rows - 1 - (random() * i_rows / 20)::bigint from generate_series(1, 100));
        if i_parts = 1 then
            select count(*) into v_count from scratch.job1 j where j.id = any (v_ids) and j.task is not null;
        else
            select count(*) into v_count from scratch.job10 j where j.id = any (v_ids) and j.task is not null;
        end if;
    end loop;
end;
$$;

create procedure scratch.record(i_parts bigint, i_times bigint, i_after bigint) language plpgsql
    set plan_cache_mode = force_generic_plan as $$
begin
    for v_time in 1..i_times loop
        if i_parts = 1 then
            insert into scratch.finished1 (id, state, run_id, attempt, started_at, finished_at)
            select i_after + v_time * 100 + n, 'succeeded', 1, 1, now(), clock_timestamp() from generate_series(1, 100) n;
        else
            insert into scratch.finished10 (id, state, run_id, attempt, started_at, finished_at)
            select i_after + v_time * 100 + n, 'succeeded', 1, 1, now(), clock_timestamp() from generate_series(1, 100) n;
        end if;
    end loop;
end;
$$;

-- The first partition goes; its failures, kept for longer, are copied out.
create table scratch.kept_job (like howdah.job);
create table scratch.kept_finished (like howdah.finished);

create procedure scratch.keep(i_to bigint) language plpgsql as $$
begin
    insert into scratch.kept_finished select f.* from scratch.finished10 f where f.id <= i_to and f.state <> 'succeeded';
    insert into scratch.kept_job
    select j.* from scratch.job10 j where j.id in (select f.id from scratch.kept_finished f);
end;
$$;
