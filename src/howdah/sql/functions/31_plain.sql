-- publish_plain: nothing ─► ready, for one job about which nothing but its task and its body is said: most of them.
--
-- The same as publish_bodies, without what costs time where one job is published after the other: no record of two dozen
-- options, no arrays. What it cannot do it leaves to the others, by answering null.
create or replace function howdah.publish_plain(i_task text, i_body jsonb)
    returns bigint
    language plpgsql
as $$
declare
    v_task  howdah.task;
    v_queue text;
    v_id    bigint;
begin
    if not coalesce(i_task collate "C" ~ '^[A-Za-z0-9_.:\-]+$' and octet_length(i_task) <= 200 and howdah.is_small(i_body), false)
       or pg_sequence_last_value('howdah.bounds'::regclass) > 0 then
        return null;
    end if;
    select t.* into v_task from howdah.task t where t.name = i_task collate "C";
    if v_task.ttl is not null or v_task.requires <> '{}' or v_task."unique" is not null then
        return null;
    end if;
    v_id := nextval('howdah.position_seq');
    v_queue := coalesce(v_task.queue, 'default');
    insert into howdah.job (id, queue, task, body, priority, max_retries, timeout, backoff, created_at, result_ttl, failure_ttl)
    values (v_id, v_task.queue, i_task, i_body, v_task.priority, v_task.max_retries, v_task.timeout, v_task.backoff,
            howdah.now(), v_task.result_ttl, v_task.failure_ttl);
    insert into howdah.ready (queue, priority, pos, id, attempt, task)
    values (v_queue, coalesce(v_task.priority, 0::smallint), v_id, v_id, 0, i_task);
    perform howdah.ring(array[v_queue], array[i_task], 2);
    return v_id;
end;
$$;

comment on function howdah.publish_plain is 'Publish one job of which only task and body are given; null: it needs more.';
