-- Every function and procedure of the schema, with those of Howdah's roles that may call it.
select p.proname as name,
       p.prokind = 'p' as is_procedure,
       coalesce(pg_get_function_arguments(p.oid), '') as arguments,
       coalesce(pg_get_function_result(p.oid), '') as result,
       obj_description(p.oid, 'pg_proc') as comment,
       array(select r.rolname::text from pg_roles r
              where r.rolname like 'howdah\_%' and r.rolname <> 'howdah_owner'
                and has_function_privilege(r.oid, p.oid, 'execute') order by 1) as roles
  from pg_proc p
 where p.pronamespace = 'jobs'::regnamespace
 order by p.proname, p.pronargs
