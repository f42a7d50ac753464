-- Searches: how a chore finds out whether there is anything to do.
--
-- A search for what is due begins at the oldest entry of an index. While some transaction holds an old snapshot, vacuum may
-- remove nothing, and every search walks over all that has come and gone since: 300,000 entries take 25 ms, twenty times a
-- second. So a whole search that was dear is followed by a pause of fifty times its length, at most a minute, in which searches
-- begin at the first entry that it found, less a second or two: new ones are not older than the call that makes them. What turns up
-- behind that (a transaction that took longer to commit, one that was rolled back) is found by the next whole search. Nothing is
-- passed for good, so nothing has to be known about who may still be writing.
--
-- A search's register holds two moments in seconds since 1970: the end of the pause, and in the lower 30 bits how long before it
-- searches begin.

-- howdah.search_from: where a search begins; -infinity: a whole one.
create or replace function howdah.search_from(i_register regclass, i_now timestamptz)
    returns timestamptz
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_value constant bigint := coalesce(pg_sequence_last_value(i_register), 0);
    v_end   constant timestamptz := to_timestamp(v_value >> 30);
begin
    -- not long before it either: a clock that was set back must not put whole searches off
    if i_now < v_end and i_now > v_end - interval '62 s' then
        return v_end - make_interval(secs => v_value & 1073741823);
    end if;
    return '-infinity';
end;
$$;

comment on function howdah.search_from is 'Where a search begins; -infinity for a whole one.';


-- howdah.pages_read: pages of a table and an index that this transaction has asked for.
create or replace function howdah.pages_read(i_table regclass, i_index regclass)
    returns bigint
    language sql
    volatile
    return pg_stat_get_xact_blocks_fetched(i_table) + pg_stat_get_xact_blocks_fetched(i_index);

comment on function howdah.pages_read is 'Pages of a table and an index that this transaction has asked for.';


-- howdah.end_search: a pause after a whole search that asked for more than 200 pages, in which the next ones begin at i_reached,
-- the first entry found; when one in the pause asks for as many, where that has got to.
--
-- Pages decide whether there is a pause, time decides how long it is: a machine that stalls for a moment must not make a cheap
-- search dear.
create or replace function howdah.end_search(
    i_register regclass,
    i_from     timestamptz,
    i_reached  timestamptz,
    i_now      timestamptz,
    i_pages    bigint,
    i_began    timestamptz
)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_end   bigint;
    v_begin constant bigint := floor(extract(epoch from least(i_reached, i_now))) - 1;
begin
    if i_pages <= 200 then
        return;
    end if;
    v_end := case when i_from > '-infinity' then pg_sequence_last_value(i_register) >> 30
        else ceil(extract(epoch from i_now + least(50 * (clock_timestamp() - i_began), interval '1 min'))) end;
    perform setval(i_register, (v_end << 30) + least(greatest(v_end - v_begin, 0), 1073741823));
end;
$$;

comment on function howdah.end_search is 'End a search; after a dear one comes a pause.';
