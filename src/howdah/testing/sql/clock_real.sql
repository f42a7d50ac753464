-- Lets the real time return.
delete from howdah_test.clock;
