{#- Key and energy of fct_interval_usage, against raw and by another road than the model takes: per register and day,
    as many reads and as much energy as raw has in its latest versions. A read lost, doubled or superseded by an older
    version shows. With business dates, only the days they delivered are looked at. -#}
{{ config(tags=['daily']) }}

{%- set days = delivered_days() %}

with

delivered as (
    select
        service_point_id,
        register_id,
        {{ date_from_epoch(local_epoch_seconds('interval_start_at', var('time_zone'))) }} as usage_date,
        {{ latest_by('raw_kwh', 'known_since_at') }} as raw_kwh
    from {{ ref('stg_mdm__interval_reads') }}
    where {{ is_within_days('interval_start_at', days) }}
    group by service_point_id, register_id, interval_start_at
),

expected as (
    select
        service_point_id,
        register_id,
        usage_date,
        count(raw_kwh) as n_reads,
        sum(raw_kwh) as raw_kwh
    from delivered
    where {{ is_one_of_days('usage_date', days) }}
    group by service_point_id, register_id, usage_date
),

found as (
    select
        service_point_id,
        register_id,
        usage_date,
        count(raw_kwh) as n_reads,
        sum(raw_kwh) as raw_kwh
    from {{ ref('fct_interval_usage') }}
    where {{ is_one_of_days('usage_date', days) }}
    group by service_point_id, register_id, usage_date
)

select
    coalesce(expected.service_point_id, found.service_point_id) as service_point_id,
    coalesce(expected.usage_date, found.usage_date) as usage_date,
    expected.n_reads as n_delivered,
    found.n_reads as n_found,
    expected.raw_kwh as delivered_kwh,
    found.raw_kwh as found_kwh
from expected
full outer join found
    on
        expected.service_point_id = found.service_point_id
        and expected.register_id = found.register_id
        and expected.usage_date = found.usage_date
where
    coalesce(expected.n_reads, 0) <> coalesce(found.n_reads, 0)
    or coalesce(expected.raw_kwh, 0) <> coalesce(found.raw_kwh, 0)
