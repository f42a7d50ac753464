-- Plans must not flip: every public function that touches single jobs carries the planner's settings, for all it calls.
--
-- Queue tables change size a thousandfold in a minute, so statistics lie; and a plan that PL/pgSQL keeps for the session is
-- made under the settings of whoever calls first, through a pooler somebody else. So unwanted paths are off and wanted ones on,
-- here once for all, because create or replace drops what was set before.
do $$
declare
    -- they read whole tables, and share no statement with the others
    v_whole    constant text[] := array['fsck', 'stats', 'list', 'list_queues', 'list_tasks', 'list_workers', 'list_limits',
                                        'unfinished', 'left_over', 'version'];
    -- they read one row of `task` and those of `sleeper`: two settings do, and each costs 5 µs after an idle moment;
    -- what is not as plain goes on to publish_jobs, which has them all
    v_plain    constant text[] := array['publish', 'publish_each'];
    v_settings constant text[] := array[
        'plan_cache_mode = force_generic_plan', 'enable_seqscan = off', 'enable_hashjoin = off', 'enable_mergejoin = off',
        'enable_indexscan = on', 'enable_indexonlyscan = on', 'enable_bitmapscan = on', 'enable_tidscan = on',
        'enable_nestloop = on', 'enable_material = on', 'enable_sort = on', 'join_collapse_limit = 8',
        'from_collapse_limit = 8', 'random_page_cost = 1.1', 'seq_page_cost = 1', 'max_parallel_workers_per_gather = 0',
        'jit = off'];
    v_function regprocedure;
    v_setting  text;
begin
    for v_function in
        select p.oid::regprocedure from pg_proc p
         where p.pronamespace = 'jobs'::regnamespace and p.prokind = 'f' and p.proname <> all (v_whole)
            or p.pronamespace = 'howdah'::regnamespace and p.proname = 'publish_jobs'
         order by p.proname
    loop
        foreach v_setting in array v_settings loop
            continue when v_setting <> all (v_settings[1:2])
                      and v_function in (select p.oid::regprocedure from pg_proc p
                                          where p.pronamespace = 'jobs'::regnamespace and p.proname = any (v_plain));
            execute format('alter function %s set %s', v_function, v_setting);
        end loop;
    end loop;
end;
$$;
