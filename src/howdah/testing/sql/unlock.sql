-- The next test, please.
select pg_advisory_unlock(48176, 2);
