-- One migration at a time in a database; the lock ends with the transaction.
select pg_advisory_xact_lock(48176, 1);

-- Everything belongs to howdah_owner where that role can be used, else to the migrating user.
do $$
declare
    v_usable constant boolean := exists (
        select from pg_roles where rolname = 'howdah_owner' and pg_has_role(current_user, oid, 'member'));
begin
    if v_usable then
        if to_regnamespace('howdah') is null or to_regnamespace('jobs') is null then
            execute format('grant create on database %I to howdah_owner', current_database());
        end if;
        set local role howdah_owner;
    end if;
end;
$$;

set local client_min_messages = warning;
set local lock_timeout = '30s';
create schema if not exists howdah;
create schema if not exists jobs;
create table if not exists howdah.migration (
    name       text primary key,
    digest     text not null,
    applied_at timestamptz not null default clock_timestamp()
);
comment on table howdah.migration is 'What has been applied: numbered migrations once, the functions at every change.';
