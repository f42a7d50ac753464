-- The time of the test's database.
select howdah.now();
