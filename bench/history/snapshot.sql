-- Rows that have come and gone, numbered above all others: due jobs, runs past their timeout, history that was pruned.
insert into howdah.scheduled
select 1000000000 + n, now() - n * interval '1 ms', 0 from generate_series(1, 300000) n;

delete from howdah.scheduled where id > 1000000000;

insert into howdah.running (id, run_id, worker_id, attempt, started_at, deadline)
select 1000000000 + n, n, nullif(n % 2, 0), 1, now(), now() - n * interval '1 ms' from generate_series(1, 300000) n;

delete from howdah.running where id > 1000000000;

insert into howdah.finished (id, state, run_id, attempt, finished_at, prune_at)
select 1000000000 + n, 'succeeded', n, 1, now() - interval '8 days',
       case when n % 2 = 0 then now() - interval '10 min' end
  from generate_series(1, 300000) n;

delete from howdah.finished where id > 1000000000
