-- The functions that raise Howdah's errors: their comments begin with the code.
select distinct substring(d.description from 'Raise (JB\d+)') as code
  from pg_proc p join pg_description d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass
 where p.pronamespace = 'howdah'::regnamespace and d.description like 'Raise JB%'
 order by 1
