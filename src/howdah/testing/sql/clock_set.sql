-- Stops the time of the test's database at a moment.
insert into howdah_test.clock (at) values (%(moment)s) on conflict (only_row) do update set at = excluded.at;
