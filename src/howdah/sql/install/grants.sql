-- Who may call what. Runtime roles get functions and views, never tables. Revoked first: create or replace keeps old grants.
revoke all on schema howdah, jobs from public;
revoke all on all functions in schema howdah, jobs from public;
revoke all on all procedures in schema howdah, jobs from public;
revoke all on all tables in schema howdah, jobs from public;
revoke all on all sequences in schema howdah from public;

-- types have no "all … in schema"; row types of tables and views are types, too
do $$
declare
    v_type regtype;
begin
    for v_type in
        select t.oid::regtype from pg_type t
         where t.typnamespace in ('howdah'::regnamespace, 'jobs'::regnamespace) and t.typelem = 0
    loop
        execute format('revoke all on type %s from public', v_type);
    end loop;
end;
$$;

do $$
declare
    v_grants constant text[][] := array[
        ['howdah_publisher', 'jobs.publish'], ['howdah_publisher', 'jobs.publish_bulk'], ['howdah_publisher', 'jobs.publish_each'],
        ['howdah_publisher', 'jobs.publish_many'],
        ['howdah_worker', 'jobs.consume'], ['howdah_worker', 'jobs.consume_topic'], ['howdah_worker', 'jobs.ack'],
        ['howdah_worker', 'jobs.nack'], ['howdah_worker', 'jobs.snooze'], ['howdah_worker', 'jobs.release'],
        ['howdah_worker', 'jobs.heartbeat'], ['howdah_worker', 'jobs.exchange'], ['howdah_worker', 'jobs.worker_started'],
        ['howdah_worker', 'jobs.worker_stopped'], ['howdah_worker', 'jobs.maintain'], ['howdah_worker', 'jobs.unfinished'],
        ['howdah_worker', 'jobs.reconcile'], ['howdah_worker', 'jobs.run_died'], ['howdah_worker', 'jobs.session_started'], ['howdah_worker', 'jobs.left_over'], ['howdah_monitor', 'jobs.left_over'], ['howdah_worker', 'jobs.log'], ['howdah_worker', 'jobs.version'], ['howdah_publisher', 'jobs.version'],
        ['howdah_operator', 'jobs.relatives'],
        ['howdah_operator', 'jobs.why'], ['howdah_monitor', 'jobs.stats'], ['howdah_monitor', 'jobs.fsck'],
        ['howdah_monitor', 'jobs.unfinished'], ['howdah_monitor', 'jobs.version'],
        ['howdah_monitor', 'jobs.list_queues'], ['howdah_monitor', 'jobs.list_workers'], ['howdah_monitor', 'jobs.list_tasks'], ['howdah_monitor', 'jobs.list_limits'],
        ['howdah_operator', 'jobs.logs'], ['howdah_operator', 'jobs.purge_queue'], ['howdah_operator', 'jobs.get'], ['howdah_operator', 'jobs.list'], ['howdah_operator', 'jobs.failures'],
        ['howdah_operator', 'jobs.wait'], ['howdah_operator', 'jobs.wait_for'], ['howdah_operator', 'jobs.cancel'],
        ['howdah_operator', 'jobs.retry'], ['howdah_operator', 'jobs.delete'], ['howdah_operator', 'jobs.pause_queue'],
        ['howdah_operator', 'jobs.resume_queue'], ['howdah_operator', 'jobs.set_queue'], ['howdah_operator', 'jobs.set_task'], ['howdah_operator', 'jobs.set_key'],
        ['howdah_operator', 'jobs.prune'], ['howdah_operator', 'jobs.maintain']];
    v_bodies  constant text[] := array['body', 'result', 'traceback', 'error', 'reason', 'headers', 'meta'];
    v_grant   text[];
    v_routine regprocedure;
    v_role    text;
    v_view    record;
begin
    foreach v_role in array array['howdah_publisher', 'howdah_worker', 'howdah_monitor', 'howdah_operator', 'howdah_admin'] loop
        continue when not exists (select from pg_roles where rolname = v_role);
        execute format('revoke all on all functions in schema howdah, jobs from %I', v_role);
        execute format('revoke all on all procedures in schema howdah, jobs from %I', v_role);
        execute format('revoke all on all tables in schema howdah, jobs from %I', v_role);
        execute format('grant usage on schema jobs to %I', v_role);
    end loop;
    -- views run their functions as the caller
    foreach v_role in array array['howdah_monitor', 'howdah_operator'] loop
        continue when not exists (select from pg_roles where rolname = v_role);
        execute format('grant execute on function howdah.now(), howdah.seconds(double precision), howdah.queue_of(text), howdah.lane_of(text, text, text[]) to %I', v_role);
    end loop;
    foreach v_grant slice 1 in array v_grants loop
        continue when not exists (select from pg_roles where rolname = v_grant[1]);
        for v_routine in
            select p.oid::regprocedure from pg_proc p
             where p.pronamespace = 'jobs'::regnamespace and p.proname = split_part(v_grant[2], '.', 2)
        loop
            execute format('grant execute on routine %s to %I', v_routine, v_grant[1]);
        end loop;
    end loop;
    -- monitor sees everything of a job but what users put into it; operator sees all
    for v_view in
        select c.oid::regclass as name,
               string_agg(format('%I', a.attname), ', ') filter (where a.attname <> all (v_bodies)) as columns
          from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
         where c.relnamespace = 'jobs'::regnamespace and c.relkind = 'v' group by c.oid
    loop
        if exists (select from pg_roles where rolname = 'howdah_monitor') then
            execute format('grant select (%s) on %s to howdah_monitor', v_view.columns, v_view.name);
        end if;
        if exists (select from pg_roles where rolname = 'howdah_operator') then
            execute format('grant select on %s to howdah_operator', v_view.name);
        end if;
    end loop;
end;
$$;

notify pgrst, 'reload schema';
