-- Whether the user may create databases.
select rolcreatedb or rolsuper from pg_roles where rolname = current_user;
