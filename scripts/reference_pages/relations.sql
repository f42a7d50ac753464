-- Every view and composite type of the schema with its columns.
select c.relname as name,
       c.relkind = 'v' as is_view,
       coalesce(obj_description(c.oid, 'pg_class'), obj_description(c.reltype, 'pg_type')) as comment,
       array(select array[a.attname::text, format_type(a.atttypid, a.atttypmod), coalesce(col_description(c.oid, a.attnum), '')]
               from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
              order by a.attnum) as columns
  from pg_class c
 where c.relnamespace = 'jobs'::regnamespace and c.relkind in ('v', 'c')
 order by c.relkind desc, c.relname
