{#- Key and energy of fct_interval_usage, against raw and by another road than the model takes: per register and day,
    as many reads and as much energy as raw has in its latest versions. A read lost, doubled or superseded by an older
    version shows. By day of the market, which needs no time zone: nine million conversions would cost more than all the
    rest. With business dates, only the time they span is looked at. -#}
{{ config(tags=['daily']) }}

{%- set days = delivered_days() %}
{%- set market_day %}({{ epoch_seconds("interval_start_at") }} + {{ var("market_day_offset_seconds") }}) // 86400{% endset %}

with

delivered as (
    select
        service_point_id,
        register_id,
        {{ market_day }} as market_day,
        {{ latest_by('raw_kwh', 'known_since_at') }} as raw_kwh
    from {{ ref('int_interval_reads') }}
    where {{ is_within_days('interval_start_at', days) }}
    group by service_point_id, register_id, interval_start_at
),

expected as (
    select
        service_point_id,
        register_id,
        market_day,
        count(raw_kwh) as n_reads,
        sum(raw_kwh) as raw_kwh
    from delivered
    group by service_point_id, register_id, market_day
),

found as (
    select
        service_point_id,
        register_id,
        {{ market_day }} as market_day,
        count(raw_kwh) as n_reads,
        sum(raw_kwh) as raw_kwh
    from {{ ref('fct_interval_usage') }}
    where {{ is_within_days('interval_start_at', days) }}
    group by service_point_id, register_id, market_day
)

select
    coalesce(expected.service_point_id, found.service_point_id) as service_point_id,
    coalesce(expected.market_day, found.market_day) as market_day,
    expected.n_reads as n_delivered,
    found.n_reads as n_found,
    expected.raw_kwh as delivered_kwh,
    found.raw_kwh as found_kwh
from expected
full outer join found
    on
        expected.service_point_id = found.service_point_id
        and expected.register_id = found.register_id
        and expected.market_day = found.market_day
where
    coalesce(expected.n_reads, 0) <> coalesce(found.n_reads, 0)
    or coalesce(expected.raw_kwh, 0) <> coalesce(found.raw_kwh, 0)
