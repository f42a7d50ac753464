-- One test at a time in a database that tests share; the lock ends with the session.
select pg_advisory_lock(48176, 2);
