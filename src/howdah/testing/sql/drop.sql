-- Drops a test's database, whoever is connected; the quoted name stands for that of the run.
drop database if exists "howdah_test_clone" with (force);
