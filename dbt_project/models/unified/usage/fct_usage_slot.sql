{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='week_start_date',
        on_schema_change='fail',
        tags=['daily'],
    )
}}

{#- A week is restated whole when one of its days is. -#}
{%- set days = weeks_of_days(restated_days()) %}

with

usage as (
    select * from {{ ref('fct_interval_usage') }}
    where
        direction = 'import'
        and vee_status = 'valid'
        and {{ is_one_of_days('usage_date', days) }}
),

-- By instant, not by wall clock: the hour that comes twice in autumn is two hours.
half_hours as (
    select
        service_point_id,
        usage_date,
        {{ epoch_seconds('interval_start_at') }} // 1800 as half_hour_no,
        min(local_minute) // 30 as slot,
        sum(interval_seconds) as covered_seconds,
        cast(sum(kwh) as double) as kwh,
        cast(sum(case when local_minute % 30 < 15 then kwh else 0 end) as double) as first_quarter_kwh,
        max(interval_seconds) as interval_seconds
    from usage
    group by service_point_id, usage_date, half_hour_no
),

complete as (
    select
        *,
        case when interval_seconds <= 900 then abs(2 * first_quarter_kwh - kwh) else 0 end as range_kwh
    from half_hours
    where covered_seconds % 1800 = 0
),

final as (
    select
        service_point_id,
        {{ week_start('usage_date') }} as week_start_date,
        {{ day_type('usage_date') }} as day_type,
        cast(slot as integer) as slot,
        cast(count(*) as integer) as n_half_hours,
        sum(kwh) as sum_kwh,
        sum(kwh * kwh) as sum_sq_kwh,
        sum(range_kwh) as sum_range_kwh
    from complete
    group by service_point_id, week_start_date, day_type, slot
)

select * from final
