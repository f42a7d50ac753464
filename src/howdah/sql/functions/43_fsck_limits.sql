-- fsck, for limits: what is counted is what is held, and nothing waits for nothing.
create or replace function howdah.fsck_limits()
    returns table (violation text, job_id bigint, detail text)
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    with held as materialized (
        select h.limit_id, sum(h.slots) as slots
          from howdah.running r cross join lateral howdah.slots_held(r.held) h group by h.limit_id
    ), freed as materialized (
        select f.limit_id, sum(f.slots) as slots from howdah.freed f group by f.limit_id
    ), state as materialized (
        select l.*, l.used - coalesce(f.slots, 0) as counted, f.limit_id is not null as hinted, coalesce(h.slots, 0) as held
          from howdah.limits l left join freed f on f.limit_id = l.id left join held h on h.limit_id = l.id
    )
    select 'slots counted wrong', null::bigint, format('%s %s: %s counted, %s held', s.kind, s.name, s.counted, s.held)
      from state s where s.counted <> s.held
    union all
    select 'slots held of a limit that is gone', null, h.limit_id::text from held h
     where not exists (select from howdah.limits l where l.id = h.limit_id)
    union all
    select 'waits for a limit that nothing will open', b.id, coalesce(s.kind || ' ' || s.name, b.limit_id::text)
      from howdah.blocked b join howdah.job j on j.id = b.id left join state s on s.id = b.limit_id
     where b.kind = 'limit' and coalesce(s.held, 0) = 0 and s.opens_at is null
       and not exists (select from freed f where f.limit_id = b.limit_id)
       and (s.max_running is distinct from 0 or not s.by_hand)
    union all
    select 'waits for no limit', b.id, null from howdah.blocked b where b.kind = 'limit' and b.limit_id is null
    union all
    select 'ready under another key', r.id, j.concurrency_key from howdah.ready r join howdah.job j on j.id = r.id
     where r.key_limit is distinct from howdah.limit_id('key', j.concurrency_key)
    union all
    select 'ready for another number of slots', r.id, r.asks::text from howdah.ready r join howdah.job j on j.id = r.id
     where r.asks is distinct from howdah.asks(j.slots, j.concurrency_limit);
$$;

comment on function howdah.fsck_limits is 'Violations among limits.';
