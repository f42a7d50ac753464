-- why, where a limit is the reason.

-- howdah.why_limit: a limit, who holds it and when it opens.
create or replace function howdah.why_limit(i_limit_id bigint, i_slots integer, i_at_most integer, i_now timestamptz)
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_limit   howdah.limits;
    v_most    integer;
    v_holders text;
    v_count   bigint;
begin
    select l.* into v_limit from howdah.limits l where l.id = i_limit_id;
    if not found then
        return 'a limit that somebody decides about at this moment';
    end if;
    v_most := case when v_limit.kind = 'key' and (not v_limit.by_hand or v_limit.max_running is null) then coalesce(i_at_most, 1)
                   else v_limit.max_running end;
    if v_limit.opens_at > i_now then
        return format('%s %s, of which %s may start in %s s: the next at %s', v_limit.kind, v_limit.name, v_limit.rate,
            trim_scale(v_limit.per::numeric), to_char(v_limit.opens_at, 'YYYY-MM-DD HH24:MI:SS.MSOF'));
    end if;
    select count(*), string_agg(x.job, ', ' order by x.n) filter (where x.n <= 3) into v_count, v_holders
      from (select howdah.public_id(j.id, j.key) as job, row_number() over (order by r.started_at, r.id) as n
              from howdah.running r join howdah.job j on j.id = r.id
             where exists (select from howdah.slots_held(r.held) h where h.limit_id = i_limit_id)) x;
    return format('a slot of %s %s, which has %s%s', v_limit.kind, v_limit.name, coalesce(v_most::text, 'no limit'),
        case when v_count > 0 then format(', held by %s', v_holders || case when v_count > 3 then format(' and %s more', v_count - 3) else '' end)
             else '' end);
end;
$$;

comment on function howdah.why_limit is 'What a limit says, and who holds it.';


-- howdah.why_limited: what a job in blocked (kind limit) waits for.
create or replace function howdah.why_limited(i_id bigint, i_now timestamptz)
    returns text
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select format('It waits for %s, with %s before it.', howdah.why_limit(b.limit_id, coalesce(j.slots, 1), j.concurrency_limit, i_now),
        howdah.counted((select count(*) from (
            select from howdah.blocked x
             where x.kind = 'limit' and x.limit_id = b.limit_id
               and (x.priority > b.priority or x.priority = b.priority and x.pos < b.pos) limit 100000) ahead), 'job'))
      from howdah.blocked b join howdah.job j on j.id = b.id
     where b.id = i_id;
$$;

comment on function howdah.why_limited is 'What limit a job waits for.';


-- howdah.why_full: the limit of a queue that keeps its ready jobs from starting; null when none does.
create or replace function howdah.why_full(i_queue text, i_slots integer, i_now timestamptz)
    returns text
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select howdah.why_limit(l.id, i_slots, null, i_now)
      from howdah.limits l
     where l.id = howdah.limit_id('queue', i_queue) and l.by_hand
       and (l.opens_at > i_now
            or l.used - (select coalesce(sum(f.slots), 0) from howdah.freed f where f.limit_id = l.id) + howdah.takes(i_slots, l.max_running)
               > l.max_running);
$$;

comment on function howdah.why_full is 'Why a limited queue starts nothing.';
