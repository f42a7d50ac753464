-- Names, digests and releases of what has been applied; the column release came later.
select m.name, m.digest, to_jsonb(m) ->> 'release' from howdah.migration m order by m.name;
