-- One migration at a time in a database; the lock ends with the transaction.
select pg_advisory_xact_lock(48176, 1);

-- Everything belongs to howdah_owner where that role can be used, else to the migrating user.
do $$
declare
    v_usable constant boolean := exists (
        select from pg_roles where rolname = 'howdah_owner' and pg_has_role(current_user, oid, 'member'));
    v_schema text;
begin
    -- By the migrating user, for the owner: so the owner needs no right on the database, neither now nor after a restore,
    -- which does not bring such a right along.
    foreach v_schema in array array['howdah', 'jobs'] loop
        if to_regnamespace(v_schema) is null then
            execute format('create schema %I authorization %I', v_schema,
                case when v_usable then 'howdah_owner' else current_user end);
        elsif not pg_has_role(current_user, (select nspowner from pg_namespace where nspname = v_schema), 'member') then
            raise exception 'a schema % exists already and belongs to somebody else', v_schema;
        end if;
    end loop;
    if v_usable then
        set local role howdah_owner;
    end if;
end;
$$;

set local client_min_messages = warning;
set local lock_timeout = '30s';
create table if not exists howdah.migration (
    name       text primary key,
    digest     text not null,
    applied_at timestamptz not null default clock_timestamp(),
    release    text
);
-- Databases of the first days have no such column. Looked at first: to alter would lock out whoever asks for the version.
do $$
begin
    if not exists (select from pg_attribute where attrelid = 'howdah.migration'::regclass and attname = 'release') then
        alter table howdah.migration add column release text;
    end if;
end;
$$;
comment on table howdah.migration is 'What has been applied: numbered migrations once, the functions at every change.';
