-- Lanes: where in `ready` a job lies. A lane is named by its queue, by the tenant whose jobs it holds, if they have one, and
-- by the labels that a worker must have to take them: mail, mail/acme, mail+gpu, mail/acme+gpu,zone=a.
--
-- So a claim never walks over what it may not take, and a tenant's jobs are found without those of another. Neither / nor +
-- nor , can be part of a queue's name or a tenant's or a label.

-- howdah.lane_of: the lane for jobs of a queue, a tenant and labels.
create or replace function howdah.lane_of(i_queue text, i_tenant text, i_requires text[])
    returns text
    language sql
    stable parallel safe     -- not immutable: array_to_string is not, and then the planner would not inline it
    return coalesce(i_queue, 'default') || coalesce('/' || i_tenant, '')
        || coalesce('+' || nullif(array_to_string(i_requires, ','), ''), '');

comment on function howdah.lane_of is 'Name of the lane in which such jobs lie.';


-- howdah.queue_of: the queue to which a lane belongs.
create or replace function howdah.queue_of(i_lane text)
    returns text
    language sql
    immutable strict parallel safe
    return split_part(split_part(i_lane, '+', 1), '/', 1);

comment on function howdah.queue_of is 'Queue of a lane.';


-- howdah.tenant_of: whose jobs lie in a lane; null: nobody's.
create or replace function howdah.tenant_of(i_lane text)
    returns text
    language sql
    immutable strict parallel safe
    return nullif(split_part(split_part(i_lane, '+', 1), '/', 2), '');

comment on function howdah.tenant_of is 'Tenant of a lane.';


-- howdah.labels_of: what a worker must have that takes a lane's jobs; null: nothing.
create or replace function howdah.labels_of(i_lane text)
    returns text[]
    language sql
    immutable strict parallel safe
    return string_to_array(nullif(split_part(i_lane, '+', 2), ''), ',');

comment on function howdah.labels_of is 'Labels that the jobs of a lane require.';


-- howdah.labels: labels as they are stored: each once, in order; null stays null, which is "not given".
create or replace function howdah.labels(i_labels text[])
    returns text[]
    language sql
    immutable parallel safe
    return case when i_labels is not null then
        array(select distinct l collate "C" from unnest(i_labels) l order by 1) end;

comment on function howdah.labels is 'Labels in order, each once.';


-- howdah.asks: what a ready job asks of limits, without a look at the job; null, which takes no room, for most.
create or replace function howdah.asks(i_slots integer, i_at_most integer)
    returns integer[]
    language sql
    immutable parallel safe
    return case when i_slots > 1 or i_at_most > 1 then array[coalesce(i_slots, 1), i_at_most] end;

comment on function howdah.asks is 'Slots that a job takes and runs of its key that it allows; null for one of each.';


-- howdah.controlled: whether claims must heed tenants, labels, ageing or limits; or an order of queues.
--
-- The register costs a tenth of a look into a table. Whoever makes such a thing sets it before it commits.
create or replace function howdah.controlled(i_queues text[] default null)
    returns boolean
    language sql
    volatile
    return cardinality(i_queues) > 1 or pg_sequence_last_value('howdah.controls'::regclass) > 0;

comment on function howdah.controlled is 'Whether claims have more to heed than priorities.';


-- howdah.use_controls: from now on claims heed ageing and limits; with i_turns tenants and labels, too.
create or replace function howdah.use_controls(i_turns boolean default false)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_level constant bigint := case when i_turns then 2 else 1 end;
begin
    if coalesce(pg_sequence_last_value('howdah.controls'::regclass), 0) < v_level then
        perform setval('howdah.controls', v_level);
    end if;
end;
$$;

comment on function howdah.use_controls is 'Have claims heed more than priorities.';
