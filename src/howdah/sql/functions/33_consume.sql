-- consume: ready ─► running for plain SQL consumers, who run no worker.

-- howdah.consume: what the three public forms share.
--
-- No worker need be alive: it first promotes what is due, cancels what is past its time to live and takes back what is
-- past its lease or timeout, bounded per call. It moves no floor: its transaction may stay open, and a floor moved in
-- it would be locked as long. A plain consumer takes parked jobs too (blocked, kind task) when it finds nothing else:
-- it knows every task.
-- Locks: claimed and returned rows, SKIP LOCKED.
create or replace function howdah.consume(i_num integer, i_queues text[], i_topic text, i_labels text[])
    returns setof jobs.job_queue
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now   constant timestamptz := howdah.now();
    v_topic constant text := howdah.topic_pattern(i_topic);
    v_ids   bigint[];
begin
    perform howdah.require_read_committed('consume');
    if i_num is null or i_num not between 1 and 10000 then
        perform howdah.refuse('num', format('%s is out of range', coalesce(i_num::text, 'null')), 'Give a number from 1 to 10000.');
    end if;
    perform howdah.check_labels('labels', i_labels);
    perform howdah.rescue(v_now, 100);
    perform howdah.expire(v_now, 100);
    perform howdah.promote(v_now, 100);   -- not more: until our transaction ends nobody else sees them
    perform howdah.admit();
    if pg_sequence_last_value('howdah.dependencies'::regclass) is not null
       and not exists (select from howdah.worker) then      -- workers settle in shorter transactions than ours may be
        perform howdah.settle(v_now, 100, false, false);
    end if;

    v_ids := howdah.claim_plainly(i_num, i_queues, v_topic, i_labels, v_now);
    if cardinality(v_ids) < i_num
       and howdah.unpark(i_num - cardinality(v_ids), i_queues, v_topic, i_labels, v_now) > 0 then
        v_ids := v_ids || howdah.claim_plainly(i_num - cardinality(v_ids), i_queues, v_topic, i_labels, v_now);
    end if;
    -- lateral, offset 0: one look by number each; joined, the view would be read as a whole
    return query select q.* from unnest(v_ids) with ordinality u (id, n)
                  cross join lateral (select x.* from jobs.job_queue x where x.id = u.id and x.state = 'running' offset 0) q
                  order by u.n;
end;
$$;

comment on function howdah.consume is 'Claim jobs for a plain consumer.';


-- howdah.claim_plainly: claims for a plain consumer; the numbers of the jobs in the order of claiming.
create or replace function howdah.claim_plainly(
    i_num integer, i_queues text[], i_topic text, i_labels text[], i_now timestamptz)
    returns bigint[]
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_ids bigint[];
begin
    if howdah.controlled(i_queues) then
        return array(select c.id from howdah.claim_controlled(
            i_num, null, i_queues, i_topic, null, null, i_labels, true, i_now) c);
    end if;
    v_ids := array(select c.id from howdah.claim(i_num, null, i_queues, i_topic, null, null, true, i_now) c);
    perform howdah.still_uncontrolled();
    return v_ids;
end;
$$;

comment on function howdah.claim_plainly is 'Claim jobs for a plain consumer.';


-- howdah.unpark: blocked (kind task) ─► ready, oldest first, for a consumer that knows every task.
create or replace function howdah.unpark(
    i_num integer, i_queues text[], i_topic text, i_labels text[], i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_count bigint;
begin
    if not exists (select from howdah.blocked b where b.kind = 'task') then
        return 0;
    end if;
    with chosen as materialized (
        select b.id, b.attempt, b.task
          from howdah.blocked b join howdah.job j on j.id = b.id left join howdah.task t on t.name = j.task
         where b.kind = 'task' and (i_topic is null or b.task like i_topic)
           and (i_queues is null or coalesce(j.queue, t.queue, 'default') = any (i_queues))
           and coalesce(j.requires, t.requires, '{}') <@ coalesce(i_labels, '{}')
           and not exists (select from howdah.queue q
                            where q.queue = coalesce(j.queue, t.queue, 'default') and q.paused_at is not null)
         order by b.id limit i_num
           for update of b skip locked
    ), removed as (
        delete from howdah.blocked b using chosen c where b.id = c.id returning b.id, b.attempt
    )
    insert into howdah.ready (queue, priority, pos, id, attempt, task, key_limit, asks)
    select howdah.lane_of(coalesce(j.queue, t.queue), j.tenant, coalesce(j.requires, t.requires)),
           coalesce(j.priority, t.priority, 0), nextval('howdah.position_seq'),
           m.id, m.attempt, j.task, howdah.limit_id('key', j.concurrency_key), howdah.asks(j.slots, j.concurrency_limit)
      from (select * from removed order by id) m join howdah.job j on j.id = m.id
      left join howdah.task t on t.name = j.task;
    get diagnostics v_count = row_count;
    return v_count;
end;
$$;

comment on function howdah.unpark is 'Bring parked jobs back to ready for a plain consumer.';


-- jobs.consume: from every queue that is not paused.
create or replace function jobs.consume(i_num integer default 1, i_queues text[] default null, i_labels text[] default null)
    returns setof jobs.job_queue
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query select * from howdah.consume(i_num, i_queues, null, i_labels);
end;
$$;

comment on function jobs.consume(integer, text[], text[]) is $$Claim up to i_num jobs for a plain SQL consumer.

Rows come in the order of claiming. Finish each by ack or nack before its timeout, or it goes to somebody else. i_queues
narrows it, and several are taken in that order; paused queues are left out. Jobs that require labels are for consumers that
name them all in i_labels. READ COMMITTED only (JB005).$$;


-- jobs.consume by topic.
create or replace function jobs.consume(i_topic text, i_num integer, i_queues text[] default null, i_labels text[] default null)
    returns setof jobs.job_queue
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query select * from howdah.consume(i_num, i_queues, i_topic, i_labels);
end;
$$;

comment on function jobs.consume(text, integer, text[], text[]) is
    'Claim up to i_num jobs whose task matches the topic; % matches anything, every other character stands for itself.';


-- jobs.consume_topic: the same by pgjobs' name.
create or replace function jobs.consume_topic(i_topic text, i_num integer default 1, i_queues text[] default null, i_labels text[] default null)
    returns setof jobs.job_queue
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query select * from howdah.consume(i_num, i_queues, i_topic, i_labels);
end;
$$;

comment on function jobs.consume_topic is
    'Claim up to i_num jobs whose task matches the topic; % matches anything, every other character stands for itself.';
