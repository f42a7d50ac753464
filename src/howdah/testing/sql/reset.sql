-- Empties the schemas of a database that tests share: as if it had just been migrated. Sessions that an earlier test
-- left behind are ended first, they might hold locks.
select pg_terminate_backend(pid) from pg_stat_activity
 where datname = current_database() and pid <> pg_backend_pid() and usename = current_user and application_name like 'howdah%';

set lock_timeout = '10s';

truncate
    howdah.job, howdah.scheduled, howdah.blocked, howdah.ready, howdah.running, howdah.finished, howdah.failure, howdah.log,
    howdah.expiry, howdah.notice, howdah.lane, howdah.settle, howdah.hole, howdah.queue, howdah.task, howdah.worker,
    howdah.beat, howdah.sleeper, howdah.suspect, howdah.sweep, howdah.limits, howdah.freed, howdah.start, howdah.edge,
    howdah.ended, howdah.unique_key, howdah_test.clock
    restart identity;

insert into howdah.settle default values;
insert into howdah.sweep (kind) values ('own'), ('succeeded'), ('other');

alter sequence howdah.position_seq restart;
alter sequence howdah.run_seq restart;
alter sequence howdah.worker_seq restart;
alter sequence howdah.last_tick restart;
alter sequence howdah.last_discovery restart;
alter sequence howdah.last_patience restart;
alter sequence howdah.last_stray_check restart;
alter sequence howdah.last_chores restart;
alter sequence howdah.suspects restart;
alter sequence howdah.controls restart;
alter sequence howdah.bounds restart;
alter sequence howdah.turn restart;
alter sequence howdah.unique_tasks restart;
alter sequence howdah.up_since restart;
alter sequence howdah.search_scheduled restart;
alter sequence howdah.search_expiry restart;
alter sequence howdah.search_deadline restart;
alter sequence howdah.search_overdue restart;
alter sequence howdah.search_unique restart;
alter sequence howdah.last_rescue restart;
alter sequence howdah.rescuing_since restart;
alter sequence howdah.life restart;
alter sequence howdah.dependencies restart;
alter sequence howdah.search_ended restart;
alter sequence howdah.settled_to restart;
