-- Checks of what callers give. Each refusal names the field, what is wrong and what to do.

-- howdah.is_small: whether a document needs no further look.
--
-- 500 bytes of jsonb cannot nest deeper than 64 levels (each level costs 8) nor exceed 1 MiB by its strings.
create or replace function howdah.is_small(i_document jsonb)
    returns boolean
    language sql
    stable parallel safe     -- not immutable: pg_column_size is not, and then the planner would not inline it
as $$
    -- both: a number such as 1e131071 is small as jsonb and large as text
    select coalesce(pg_column_size(i_document), 0) <= 500 and coalesce(octet_length(i_document::text), 0) <= 2000;
$$;

comment on function howdah.is_small is 'Whether a document is so small that its limits need no check.';


-- howdah.due: when a publication is to run; null: at once.
create or replace function howdah.due(i_scheduled_at timestamptz, i_delay numeric, i_now timestamptz)
    returns timestamptz
    language sql
    stable parallel safe     -- a timestamptz plus an interval is no more than that, and only then is this inlined
    return case when i_scheduled_at > i_now then i_scheduled_at
                when i_delay > 0 then i_now + howdah.seconds(i_delay::double precision) end;

comment on function howdah.due is 'The moment at which a publication is to run; null when that is now.';


-- howdah.is_plain: whether a publication can skip check_publication: a good name, a small body, nothing else given.
--
-- The length is a condition of its own: as {1,200} in the pattern it costs 6 µs a name instead of 0.3.
create or replace function howdah.is_plain(i_job howdah.publication)
    returns boolean
    language sql
    stable parallel safe     -- as is_small
as $$
    select i_job.task collate "C" ~ '^[A-Za-z0-9_.:\-]+$' and octet_length(i_job.task) <= 200
       and howdah.is_small(i_job.body)
       and i_job.timeout is null and i_job.priority is null and i_job.max_retries is null
       and i_job.queue is null and i_job.key is null and i_job.delay is null and i_job.ttl is null
       and i_job.result_ttl is null and i_job.failure_ttl is null and i_job.backoff is null
       and i_job.headers is null and i_job.meta is null and i_job.scheduled_at is null
       and i_job.concurrency_key is null and i_job.concurrency_limit is null and i_job.slots is null
       and i_job.at_front is null and i_job.tenant is null and i_job.requires is null and i_job.depends_on is null;
$$;

comment on function howdah.is_plain is 'Whether a publication needs no further check.';


-- howdah.check_name: task and queue names.
create or replace function howdah.check_name(i_field text, i_name text)
    returns void
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if i_name is null then
        perform howdah.refuse(i_field, 'is missing', 'Give a name of 1 to 200 letters, digits, _ . : or -.');
    elsif i_name collate "C" !~ '^[A-Za-z0-9_.:\-]+$' or octet_length(i_name) > 200 then
        perform howdah.refuse(i_field, format('%L is not a valid name', left(i_name, 60)),
            'Names have 1 to 200 letters, digits, _ . : or -.');
    end if;
end;
$$;

comment on function howdah.check_name is 'Refuse a task or queue name outside [A-Za-z0-9_.:-]{1,200}.';


-- howdah.check_json: size and depth of a document, and its numbers.
create or replace function howdah.check_json(i_field text, i_document jsonb, i_bytes integer)
    returns void
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_bytes integer;
begin
    if i_document is null then
        return;
    end if;
    v_bytes := octet_length(i_document::text);
    if v_bytes > i_bytes then
        perform howdah.refuse(i_field, format('has %s bytes, the limit is %s', v_bytes, i_bytes),
            'Store large data elsewhere and publish a reference to it.');
    end if;
    if pg_column_size(i_document) > 500 and jsonb_path_exists(
            i_document, 'strict $.**{64} ? (@.type() == "object" || @.type() == "array")') then
        perform howdah.refuse(i_field, 'is nested deeper than 64 levels', 'Flatten the document.');
    end if;
    -- PostgreSQL keeps 131072 digits, but a worker or client that meets them can read neither the job nor its neighbours
    if v_bytes > 4000 and strpos(translate(i_document::text, '123456789', '000000000'), repeat('0', 4001)) > 0
       and jsonb_path_exists(i_document, 'strict $.** ? (@.type() == "number").abs() ? (@ >= 1e4000)') then
        perform howdah.refuse(i_field, 'holds a number of more than 4000 digits', 'Give it as text.');
    end if;
end;
$$;

comment on function howdah.check_json is 'Refuse a document that is too large, nested too deeply, or that nobody can read.';


-- howdah.check_number: bounds of a number, infinity and NaN refused.
create or replace function howdah.check_number(i_field text, i_value numeric, i_low numeric, i_high numeric)
    returns void
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if i_value is not null and not (i_value between i_low and i_high) then
        perform howdah.refuse(i_field, format('%s is out of range', i_value),
            format('Give a number from %s to %s.', i_low, i_high));
    end if;
end;
$$;

comment on function howdah.check_number is 'Refuse a number outside its bounds.';


-- howdah.check_key: a user's own job id.
create or replace function howdah.check_key(i_key text)
    returns void
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if i_key is null then
        return;
    end if;
    if char_length(i_key) not between 1 and 200 then
        perform howdah.refuse('key', format('has %s characters', char_length(i_key)), 'Use 1 to 200 characters; hash longer keys.');
    elsif i_key ~ '^[0-9]+$' then
        perform howdah.refuse('key', format('%L is all digits', i_key), 'Digits are job numbers: put a letter into the key.');
    elsif i_key ~ '[\u0001-\u001f\u007f-\u009f]' then
        perform howdah.refuse('key', 'contains a control character', 'Use printable characters.');
    end if;
end;
$$;

comment on function howdah.check_key is 'Refuse a key that is too long, all digits or has control characters.';


-- howdah.check_task_options: the options that a task and a job have in common.
create or replace function howdah.check_task_options(
    i_timeout     numeric,
    i_max_retries numeric,
    i_priority    numeric,
    i_backoff     numeric[],
    i_ttl         numeric,
    i_result_ttl  numeric,
    i_failure_ttl numeric
)
    returns void
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_delay numeric;
begin
    perform howdah.check_number('timeout', i_timeout, 0.001, 315576000);
    perform howdah.check_number('max_retries', i_max_retries, 0, 10000);
    perform howdah.check_number('priority', i_priority, -32768, 32766);     -- 32767 is at_front's
    perform howdah.check_number('ttl', i_ttl, 0.001, 3155760000);
    perform howdah.check_number('result_ttl', i_result_ttl, -1, 3155760000);
    perform howdah.check_number('failure_ttl', i_failure_ttl, -1, 3155760000);
    if array_ndims(i_backoff) > 1 or array_lower(i_backoff, 1) <> 1 then
        perform howdah.refuse('backoff', 'is not a plain list', 'Give the delays in seconds, one after the other.');
    elsif cardinality(i_backoff) > 100 then
        perform howdah.refuse('backoff', 'has more than 100 delays', 'The last delay repeats: leave the rest out.');
    end if;
    foreach v_delay in array coalesce(i_backoff, '{}') loop
        if v_delay is null then
            perform howdah.refuse('backoff', 'contains null', 'Give the delays in seconds.');
        end if;
        perform howdah.check_number('backoff', v_delay, 0, 315576000);
    end loop;
end;
$$;

comment on function howdah.check_task_options is 'Refuse options out of range.';


-- howdah.check_moment: a moment that comes, and that every client can read: Python's years end with 9999.
create or replace function howdah.check_moment(i_field text, i_moment timestamptz)
    returns void
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if i_moment >= '9999-01-01 00:00:00+00' then
        perform howdah.refuse(i_field, format('%s is too far away', i_moment), 'Give a moment before the year 9999.');
    end if;
end;
$$;

comment on function howdah.check_moment is 'Refuse a moment that does not come, or that clients cannot read.';


-- howdah.check_publication: everything a caller of publish can give.
create or replace function howdah.check_publication(i_job howdah.publication)
    returns void
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform howdah.check_name('task', i_job.task);
    if i_job.queue is not null then
        perform howdah.check_name('queue', i_job.queue);
    end if;
    perform howdah.check_json('body', i_job.body, 1048576);
    perform howdah.check_json('headers', i_job.headers, 16384);
    if jsonb_typeof(i_job.headers) not in ('object', 'null') then
        perform howdah.refuse('headers', 'is not a JSON object', 'Give {"name": value, …}.');
    end if;
    perform howdah.check_json('meta', i_job.meta, 16384);
    perform howdah.check_key(i_job.key);
    perform howdah.check_number('delay', i_job.delay, 0, 3155760000);
    if i_job.delay is not null and i_job.scheduled_at is not null then
        perform howdah.refuse('delay', 'is given together with scheduled_at', 'Give one of the two.');
    end if;
    perform howdah.check_moment('scheduled_at', i_job.scheduled_at);
    perform howdah.check_task_options(i_job.timeout, i_job.max_retries, i_job.priority, i_job.backoff,
        i_job.ttl, i_job.result_ttl, i_job.failure_ttl);
    perform howdah.check_concurrency(i_job.concurrency_key, i_job.concurrency_limit, i_job.slots);
    if i_job.at_front and i_job.priority is not null then
        perform howdah.refuse('at_front', 'is given together with priority', 'Give one of the two: at_front is the highest priority.');
    end if;
    if i_job.tenant is not null then
        perform howdah.check_name('tenant', i_job.tenant);
    end if;
    perform howdah.check_labels('requires', i_job.requires);
    perform howdah.check_depends_on(i_job.depends_on, i_job.key);
    if i_job.ttl <= i_job.delay or howdah.now() + howdah.seconds(i_job.ttl::double precision) <= i_job.scheduled_at then
        perform howdah.refuse('ttl', 'is over before the job is due', 'It counts from the publish: give more than the delay.');
    end if;
end;
$$;

comment on function howdah.check_publication is 'Refuse a publication with JB001 that names the field.';


-- howdah.check_labels: what a worker has or a job requires.
create or replace function howdah.check_labels(i_field text, i_labels text[])
    returns void
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_label text;
begin
    if array_ndims(i_labels) > 1 then
        perform howdah.refuse(i_field, 'is not a plain list', 'Give the labels one after the other.');
    elsif cardinality(i_labels) > 20 then
        perform howdah.refuse(i_field, 'has more than 20 labels', 'Give at most 20.');
    end if;
    foreach v_label in array coalesce(i_labels, '{}') loop
        if coalesce(v_label collate "C" !~ '^[A-Za-z0-9_.:=\-]+$' or octet_length(v_label) > 60, true) then
            perform howdah.refuse(i_field, format('%L is not a label', left(v_label, 60)),
                'Labels have 1 to 60 letters, digits, _ . : - or =, as in gpu or zone=a.');
        end if;
    end loop;
end;
$$;

comment on function howdah.check_labels is 'Refuse labels outside [A-Za-z0-9_.:=-]{1,60}.';


-- howdah.topic_pattern: a topic as a LIKE pattern: % matches anything, every other character stands for itself.
create or replace function howdah.topic_pattern(i_topic text)
    returns text
    language sql
    immutable strict parallel safe
    return replace(replace(i_topic, '\', '\\'), '_', '\_');

comment on function howdah.topic_pattern is 'LIKE pattern of a topic; only % is a wildcard.';


-- howdah.one_line: text for a one-line message: control characters escaped, at most i_characters.
create or replace function howdah.one_line(i_text text, i_characters integer default 1000)
    returns text
    language sql
    immutable strict parallel safe
    return left(regexp_replace(btrim(i_text, E' \t\r\n'), '[[:cntrl:]\u2028\u2029]+', ' ', 'g'), i_characters);

comment on function howdah.one_line is 'Text on one line, without control characters.';
