-- Cluster-wide NOLOGIN roles, made when the migrating user may create roles.
--
-- Publisher and worker are siblings: who may publish may not finish other people's jobs.
-- Roles are shared by all databases of a server, so ten migrations may race here: whoever comes second
-- finds the role there and goes on. Without the right to create roles everything belongs to the migrating
-- user and grants.sql grants to those roles that exist.
do $$
declare
    v_roles constant text[] := array[
        'howdah_owner', 'howdah_publisher', 'howdah_worker', 'howdah_monitor', 'howdah_operator', 'howdah_admin'];
    v_links constant text[][] := array[
        ['howdah_monitor', 'howdah_operator'],
        ['howdah_operator', 'howdah_admin'], ['howdah_publisher', 'howdah_admin'], ['howdah_worker', 'howdah_admin']];
    v_creator constant boolean := (select rolsuper or rolcreaterole from pg_roles where rolname = current_user);
    v_role text;
    v_link text[];
begin
    if not v_creator then
        return;
    end if;
    foreach v_role in array v_roles loop
        if not exists (select from pg_roles where rolname = v_role) then
            begin
                execute format('create role %I nologin', v_role);
            exception when duplicate_object or unique_violation then
                null;       -- another database's migration was faster
            end;
        end if;
        -- From PostgreSQL 16 on a CREATEROLE user may not act for the role it made until it grants itself that.
        -- Refused when another CREATEROLE user made the roles: then this user goes on as one without that right.
        if not pg_has_role(current_user, v_role, 'usage') then
            begin
                execute format('grant %I to current_user', v_role);
            exception when insufficient_privilege then
                null;
            end;
        end if;
    end loop;
    foreach v_link slice 1 in array v_links loop
        if not pg_has_role(v_link[2], v_link[1], 'usage') then
            begin
                execute format('grant %I to %I', v_link[1], v_link[2]);
            exception when insufficient_privilege then
                null;
            end;
        end if;
    end loop;
end;
$$;
