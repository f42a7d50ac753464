-- Notes one applied migration; psql's and psycopg's placeholders differ, so the values are bound by name.
insert into howdah.migration (name, digest) values (%(name)s, %(digest)s)
on conflict (name) do update set digest = excluded.digest, applied_at = excluded.applied_at;
