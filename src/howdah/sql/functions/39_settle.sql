-- Settle: children whose parents have ended ─► ready, scheduled or cancelled. A chore of every tick.
--
-- A child may be published while its parent ends, in transactions of any length that do not see each other. Nothing is lost:
--   * a new edge is not settled. Settle looks at it once its publisher has committed: the parent has ended (it counts), or it
--     lives and nobody is about to end it (howdah.at_rest), then the edge is settled: whoever ends the parent from now on looks
--     for edges after having taken the parent's state row, and sees this one. Else it looks again at the next tick.
--   * whoever ends a job that has edges leaves a row in `ended`, which stays until none of these edges is left.
-- So an end that did not see an edge comes before settle's look at it, and settle sees the end.
--
-- Edges are removed only by whoever has locked the child's row in blocked, SKIP LOCKED: nobody waits for anybody, two sessions
-- may settle at once, and `pending` is exact. Nothing recurses: a cancelled child is an end like any other.

-- howdah.settle: up to about i_limit edges of each kind.
--
-- i_mark: also settle new edges; not in a transaction that may stay open, because that locks children that wait on.
-- i_whole: look at all new edges, not only beyond the last one looked at.
create or replace function howdah.settle(i_now timestamptz, i_limit bigint, i_mark boolean, i_whole boolean)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_sequence_last_value('howdah.dependencies'::regclass) is null then
        return 0;
    end if;
    -- ends first: one that has been noted counts, whatever became of that parent since
    return howdah.settle_ended(i_now, i_limit) + howdah.settle_new(i_now, i_limit, i_mark, i_whole)
         + howdah.settle_ended(i_now, i_limit);
end;
$$;

comment on function howdah.settle is 'Let children go whose parents have ended.';


-- howdah.settle_ended: edges of parents that have ended ─► gone, until none is left that is free or i_limit is reached; of the
-- children of cancelled children at most fifty generations.
create or replace function howdah.settle_ended(i_now timestamptz, i_limit bigint)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_first constant timestamptz := howdah.first_ended(i_now);
    v_some  bigint;
    v_count bigint := 0;
begin
    if v_first is null then
        return 0;
    end if;
    for v_generation in 1..50 loop
        v_some := howdah.settle_some(v_first, least(i_limit - v_count, 1000), i_now);
        v_count := v_count + v_some;
        exit when v_some = 0 or v_count >= i_limit;
    end loop;
    perform howdah.drop_ended(v_first);
    return v_count;
end;
$$;

comment on function howdah.settle_ended is 'Tell children that their parents have ended.';


-- howdah.first_ended: the first end that children do not know of yet; null: there is none.
create or replace function howdah.first_ended(i_now timestamptz)
    returns timestamptz
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_from  constant timestamptz := howdah.search_from('howdah.search_ended', i_now);
    v_pages constant bigint := howdah.pages_read('howdah.ended', 'howdah.ended_at');
    v_began constant timestamptz := clock_timestamp();
    v_first timestamptz;
begin
    select n.at into v_first from howdah.ended n where n.at >= v_from order by n.at limit 1;
    perform howdah.end_search('howdah.search_ended', v_from, v_first, i_now,
        howdah.pages_read('howdah.ended', 'howdah.ended_at') - v_pages, v_began);
    return v_first;
end;
$$;

comment on function howdah.first_ended is 'When the first parent ended whose children do not know it yet.';


-- howdah.settle_some: one step of settle_ended; answers how many edges are gone.
--
-- Locks: the children's rows in blocked, SKIP LOCKED.
create or replace function howdah.settle_some(i_first timestamptz, i_limit bigint, i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_children bigint[];
    v_parents  bigint[];
    v_states   howdah.state[];
begin
    with chosen as materialized (
        select x.child, n.parent, n.state, n.at, n.upto
          from (select e.* from howdah.ended e where e.at >= i_first order by e.at, e.upto) n
         cross join lateral (
                select e.child from howdah.edge e join howdah.blocked b on b.id = e.child
                 where e.parent = n.parent and e.child <= n.upto
                 order by e.child limit i_limit
                   for update of b skip locked) x
         limit i_limit
    ), first as (       -- an end counts for the children of its time, whatever came later
        select distinct on (c.child, c.parent) c.* from chosen c order by c.child, c.parent, c.at, c.upto
    )
    select array_agg(f.child), array_agg(f.parent), array_agg(f.state) into v_children, v_parents, v_states from first f;
    return howdah.resolve(v_children, v_parents, v_states, i_now);
end;
$$;

comment on function howdah.settle_some is 'Tell some children that their parents have ended.';


-- howdah.drop_ended: ends that no edge is left for, nor anybody who may be publishing one.
create or replace function howdah.drop_ended(i_first timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_in_flight text[] := '{}';
begin
    if exists (select from howdah.ended n where n.at >= i_first and n.holders <> '{}') then
        v_in_flight := howdah.dependants_in_flight();       -- before the look for edges
    end if;
    delete from howdah.ended n where n.ctid = any (array(
        select x.ctid from howdah.ended x
         where x.at >= i_first and not coalesce(x.holders && v_in_flight, false)
           and not exists (select from howdah.edge e where e.parent = x.parent and e.child <= x.upto)
         order by x.at limit 10000
           for update skip locked));
end;
$$;

comment on function howdah.drop_ended is 'Forget ends that all children know.';


-- howdah.settle_new: new edges ─► settled while the parent lives, else gone.
--
-- Goes on where the last look ended, and from the beginning when it came to the end: what cannot be told yet (the parent's row is
-- held in a transaction that somebody left open) must not keep others waiting.
create or replace function howdah.settle_new(i_now timestamptz, i_limit bigint, i_mark boolean, i_whole boolean)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_from     constant bigint := case when i_whole then 0 else coalesce(pg_sequence_last_value('howdah.settled_to'::regclass), 0) end;
    v_pages    constant bigint := howdah.pages_read('howdah.edge', 'howdah.edge_unsettled');
    v_children bigint[];
    v_parents  bigint[];
    v_states   howdah.state[];
    v_live     bigint[] := '{}';
    v_count    bigint := 0;
begin
    select array_agg(x.child), array_agg(x.parent) into v_children, v_parents
      from (select e.child, e.parent from howdah.edge e
             where not e.settled and e.child >= v_from order by e.child, e.parent limit i_limit) x;
    perform howdah.note_settled(v_from, v_children, i_limit,
        howdah.pages_read('howdah.edge', 'howdah.edge_unsettled') - v_pages);
    if v_children is null then
        return 0;
    end if;
    if i_mark then
        v_live := howdah.at_rest(array(select distinct p from unnest(v_parents) p));
        v_count := howdah.mark_settled(v_children, v_parents, v_live);
    end if;
    -- a new look: what was not at rest may have ended meanwhile
    select array_agg(u.child), array_agg(u.parent), array_agg(o.state) into v_children, v_parents, v_states
      from unnest(v_children, v_parents) u (child, parent)
     cross join lateral howdah.over(u.parent) o
     cross join lateral (
            select from howdah.blocked b where b.id = u.child and b.kind = 'parent' for update skip locked) b
     where o.over;
    return v_count + howdah.resolve(v_children, v_parents, v_states, i_now);
end;
$$;

comment on function howdah.settle_new is 'Settle edges that are new.';


-- howdah.note_settled: where the next look begins.
--
-- From the beginning when this one came to the end, unless that is dear: vacuum may not remove what an old snapshot might see.
-- Then only the chores begin there.
create or replace function howdah.note_settled(i_from bigint, i_children bigint[], i_limit bigint, i_pages bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_last constant bigint := coalesce(i_children[cardinality(i_children)], i_from);
    v_next bigint;
begin
    if cardinality(i_children) >= i_limit then
        v_next := case when v_last = i_from then v_last + 1 else v_last end;
    else
        v_next := case when i_pages > 200 then v_last else 0 end;
    end if;
    if v_next <> coalesce(pg_sequence_last_value('howdah.settled_to'::regclass), 0) then
        perform setval('howdah.settled_to', v_next);
    end if;
end;
$$;

comment on function howdah.note_settled is 'Note how far settle_new came.';


-- howdah.at_rest: those of these jobs that have not ended and that nobody is about to move or end.
--
-- Locks their state rows for a moment only, SKIP LOCKED, and lets go of them by a rollback to a savepoint: a claim must not pass
-- over a job because it has children. FOR UPDATE, because FOR KEY SHARE waits in spite of SKIP LOCKED where the row was updated and
-- is being deleted by the transaction that did it (a cancel and its end in one).
create or replace function howdah.at_rest(i_ids bigint[])
    returns bigint[]
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_ids bigint[];
begin
    begin
        v_ids := array(select r.id from unnest(i_ids) p (id) join howdah.running r on r.id = p.id for update of r skip locked)
              || array(select s.id from unnest(i_ids) p (id) join howdah.scheduled s on s.id = p.id for update of s skip locked)
              || array(select b.id from unnest(i_ids) p (id) join howdah.blocked b on b.id = p.id for update of b skip locked)
              || array(select r.id from unnest(i_ids) p (id) join howdah.job j on j.id = p.id
                         join howdah.ready r on r.queue = howdah.lane_of(j.queue, j.tenant, j.requires)
                                             and r.priority = coalesce(j.priority, 0)
                                            and r.pos = j.id and r.id = j.id for update of r skip locked)
              || array(select r.id from unnest(i_ids) p (id) join howdah.ready r on r.id = p.id and r.pos <> r.id
                          for update of r skip locked);
        raise exception 'seen' using errcode = 'HD000';
    exception when sqlstate 'HD000' then
        return v_ids;
    end;
end;
$$;

comment on function howdah.at_rest is 'Jobs that have not ended and that nobody is about to end.';


-- howdah.mark_settled: new edges to these parents ─► settled. Locks: the children's rows, SKIP LOCKED.
--
-- With hash joins for the one join, of what was seen with what was found: neither is a table.
create or replace function howdah.mark_settled(i_children bigint[], i_parents bigint[], i_live bigint[])
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set enable_hashjoin = on
as $$
declare
    v_children bigint[];
    v_parents  bigint[];
    v_count    bigint;
begin
    with live as materialized (
        select u.child, u.parent
          from (select * from unnest(i_children, i_parents) u (child, parent) offset 0) u
          join (select distinct l.id from unnest(i_live) l (id)) l on l.id = u.parent
    )
    select array_agg(l.child), array_agg(l.parent) into v_children, v_parents
      from live l
     cross join lateral (
            select from howdah.blocked b where b.id = l.child and b.kind = 'parent' for update skip locked) b;
    update howdah.edge e set settled = true
      from unnest(v_children, v_parents) u (child, parent)
     where e.child = u.child and e.parent = u.parent and not e.settled;
    get diagnostics v_count = row_count;
    return v_count;
end;
$$;

comment on function howdah.mark_settled is 'Note that whoever ends these parents will see these edges.';


-- howdah.over: whether a job has ended or is gone, and how; null state: deleted.
create or replace function howdah.over(i_id bigint, out over boolean, out state howdah.state)
    language plpgsql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    select f.state into state from howdah.finished f where f.id = i_id;
    over := found;
    if not found then
        perform from howdah.job j where j.id = i_id;
        over := not found;
        if over then        -- pruned: how had it ended?
            select n.state into state from howdah.ended n where n.parent = i_id order by n.at desc, n.upto desc limit 1;
        end if;
    end if;
end;
$$;

comment on function howdah.over is 'Whether a job has ended, and how.';


-- howdah.resolve: edges whose parents have ended ─► gone; children that wait for nothing else ─► ready or scheduled; children
-- whose parent cannot succeed ─► cancelled. The caller holds the children's rows in blocked. Answers how many edges counted.
create or replace function howdah.resolve(
    i_children bigint[], i_parents bigint[], i_states howdah.state[], i_now timestamptz)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_children bigint[];
    v_counts   integer[];
    v_culprits bigint[];
    v_states   howdah.state[];
    v_count    bigint;
begin
    if i_children is null then
        return 0;
    end if;
    -- what was seen may be older than the lock: what is removed counts
    with removed as (
        delete from howdah.edge e using unnest(i_children, i_parents, i_states) u (child, parent, state)
         where e.child = u.child and e.parent = u.parent
        returning e.child, e.parent, u.state, e.allow_failure or coalesce(u.state = 'succeeded', false) as good
    ), child as (
        select r.child, count(*) as count, (array_agg(r.parent order by r.parent) filter (where not r.good))[1] as culprit,
               (array_agg(r.state order by r.parent) filter (where not r.good))[1] as state
          from removed r group by r.child
    )
    select array_agg(c.child order by c.child), array_agg(c.count order by c.child), array_agg(c.culprit order by c.child),
           array_agg(c.state order by c.child), sum(c.count)
      into v_children, v_counts, v_culprits, v_states, v_count
      from child c;
    if v_count is null then
        return 0;
    end if;
    perform howdah.let_go(v_children, v_counts, v_culprits, i_now);
    update howdah.blocked b set pending = b.pending - c.count
      from unnest(v_children, v_counts, v_culprits) c (id, count, culprit) where b.id = c.id and c.culprit is null;
    perform howdah.give_up(v_children, v_culprits, v_states, i_now) where array_remove(v_culprits, null) <> '{}';
    return v_count;
end;
$$;

comment on function howdah.resolve is 'Remove edges and move the children that they held.';


-- howdah.let_go: blocked (kind parent) ─► ready at a new position, or scheduled if their time has not come, for those of these
-- children that wait for no more than i_counts, all of which are well.
create or replace function howdah.let_go(i_children bigint[], i_counts integer[], i_culprits bigint[], i_now timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_queues text[];
    v_tasks  text[];
    v_count  bigint;
    v_soon   boolean;
begin
    with freed as (
        delete from howdah.blocked b using unnest(i_children, i_counts, i_culprits) c (id, count, culprit)
         where b.id = c.id and c.culprit is null and b.pending <= c.count
        returning b.id, b.attempt
    ), due as materialized (
        select j.id, f.attempt, j.task, case when j.scheduled_at > i_now then j.scheduled_at end as run_at,
               howdah.lane_of(coalesce(j.queue, t.queue), j.tenant, coalesce(j.requires, t.requires)) as queue,
               coalesce(j.priority, t.priority, 0) as priority, howdah.limit_id('key', j.concurrency_key) as key_limit,
               howdah.asks(j.slots, j.concurrency_limit) as asks
          from freed f join howdah.job j on j.id = f.id left join howdah.task t on t.name = j.task
    ), made_scheduled as (
        insert into howdah.scheduled (id, run_at, attempt)
        select d.id, d.run_at, d.attempt from due d where d.run_at is not null
    ), made_ready as (
        insert into howdah.ready (queue, priority, pos, id, attempt, task, key_limit, asks)
        select o.queue, o.priority, nextval('howdah.position_seq'), o.id, o.attempt, o.task, o.key_limit, o.asks
          from (select d.* from due d where d.run_at is null order by d.id) o
        returning queue, task
    )
    select array_agg(m.queue), array_agg(m.task), sum(m.count),
           (select bool_or(d.run_at < i_now + interval '5 s') from due d)       -- whoever sleeps looks every 5 s at least
      into v_queues, v_tasks, v_count, v_soon
      from (select r.queue, r.task, count(*) from made_ready r group by r.queue, r.task) m;
    if v_count > 0 then
        perform howdah.ring(v_queues, v_tasks, howdah.rings_for(v_count));
    end if;
    if v_soon then
        perform howdah.be_in_flight();
        perform howdah.ring(null);
    end if;
end;
$$;

comment on function howdah.let_go is 'Make children ready whose parents have all ended as they should.';


-- howdah.give_up: blocked (kind parent) ─► cancelled (kind parent) for the children that have a culprit: a parent that cannot
-- succeed any more. Their own children hear of it as of any end.
create or replace function howdah.give_up(
    i_children bigint[], i_culprits bigint[], i_states howdah.state[], i_now timestamptz)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_ids bigint[];
begin
    with doomed as (
        delete from howdah.blocked b using unnest(i_children, i_culprits, i_states) c (id, culprit, state)
         where b.id = c.id and c.culprit is not null
        returning b.id, b.attempt, c.culprit, c.state
    ), untied as (
        delete from howdah.edge e using doomed d where e.child = d.id
    ), recorded as (
        insert into howdah.finished (id, state, attempt, finished_at, kind, error, prune_at)
        select d.id, 'cancelled', d.attempt, i_now, 'parent', howdah.one_line(concat_ws(': ', format('parent %s %s',
                   howdah.public_id(d.culprit, p.key),
                   case d.state when 'failed' then 'failed' when 'cancelled' then 'was cancelled'
                                when 'skipped' then 'was skipped' else 'was deleted' end), f.error)),
               howdah.prune_at(coalesce(j.failure_ttl, t.failure_ttl), i_now)
          from doomed d join howdah.job j on j.id = d.id left join howdah.task t on t.name = j.task
          left join howdah.job p on p.id = d.culprit
          left join howdah.finished f on f.id = d.culprit
        returning id
    )
    select array_agg(r.id) into v_ids from recorded r;
    perform howdah.note_ends(v_ids, 'cancelled', i_now);
end;
$$;

comment on function howdah.give_up is 'Cancel children whose parent cannot succeed.';
