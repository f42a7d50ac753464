-- Notes one applied migration; psql's and psycopg's placeholders differ, so the values are bound by name.
insert into howdah.migration (name, digest, release) values (%(name)s, %(digest)s, %(release)s)
on conflict (name) do update set digest = excluded.digest, release = excluded.release, applied_at = excluded.applied_at;
