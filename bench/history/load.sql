-- History as it lies after weeks: bodies of some 100 bytes, one job in a hundred failed, finished in the order of their numbers
-- over 20 days that ended 8 days ago: every success is due to go, every failure is kept.
create schema load;

create function load.history(i_from bigint, i_to bigint, i_all bigint) returns void language sql as $$
    insert into howdah.job (id, queue, task, body, created_at)
    select n, 'q' || n % 5, 'shop.mails.send_welcome',
           jsonb_build_object('args', jsonb_build_array(n, 'user-' || n || '@example.com'),
                              'kwargs', jsonb_build_object('locale', 'en')),
           now() - interval '28 days' + n * interval '20 days' / i_all
      from generate_series(i_from, i_to) n;
    insert into howdah.finished (id, state, run_id, attempt, started_at, finished_at, result, kind, error)
    select n, case when n % 100 = 0 then 'failed' else 'succeeded' end::howdah.state, n, 1, x.at, x.at + interval '0.1 s',
           case when n % 100 > 0 then '{"sent": true}'::jsonb end,
           case when n % 100 = 0 then 'error' end, case when n % 100 = 0 then 'Refused' end
      from generate_series(i_from, i_to) n
     cross join lateral (select now() - interval '28 days' + n * interval '20 days' / i_all as at) x;
    insert into howdah.failure (job_id, attempt, run_id, at, kind, error, traceback)
    select f.id, 1, f.run_id, f.finished_at, 'error', 'Refused', repeat('x', 500)
      from howdah.finished f where f.id between i_from and i_to and f.state = 'failed';
$$;

create function load.begin_after(i_last bigint) returns void language sql as $$
    select setval('howdah.position_seq', i_last), setval('howdah.run_seq', i_last);
    update howdah.settle set settled = i_last, candidate = i_last;
$$;
