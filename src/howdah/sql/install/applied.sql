-- Names and digests of what has been applied.
select name, digest from howdah.migration order by name;
