-- Databases of test runs that were killed: of runs whose connection, which carries their name, is no more.
select d.datname
  from pg_database d
 where d.datname ~ '^howdah_test_[0-9]+_[0-9a-f]{6}(_[0-9]+)?$'
   and pg_has_role(current_user, d.datdba, 'usage')
   and not exists (select from pg_stat_activity a
                    where a.application_name = substring(d.datname from '^howdah_test_[0-9]+_[0-9a-f]{6}'));
