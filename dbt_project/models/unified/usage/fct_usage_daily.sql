{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='usage_date',
        on_schema_change='fail',
        tags=['daily'],
    )
}}

{%- set days = restated_days() %}

with

usage as (
    select * from {{ ref('fct_interval_usage') }}
    where {{ is_one_of_days('usage_date', days) }}
),

by_register as (
    select
        service_point_id,
        register_id,
        usage_date,
        min(direction) as direction,
        min(interval_seconds) as interval_seconds,
        sum(kwh) as kwh,
        count(kwh) as n_intervals,
        count(case when vee_status = 'estimated' then 1 end) as n_estimated,
        max(kwh) as peak_kwh,
        sum(case when local_minute < 300 then kwh else 0 end) as night_kwh,
        sum(case when local_minute >= 1020 and local_minute < 1260 then kwh else 0 end) as evening_kwh
    from usage
    where direction in ('import', 'export')
    group by service_point_id, register_id, usage_date
),

calendar as (
    select
        usage_date,
        {{ epoch_seconds(from_local('cast(' ~ add_days('usage_date', 1) ~ ' as timestamp)', var('time_zone'))) }}
        - {{ epoch_seconds(from_local('cast(usage_date as timestamp)', var('time_zone'))) }} as day_seconds
    from (select distinct usage_date from by_register) as days_of_use
),

-- Several import registers of one point are as complete as the least complete of them.
final as (
    select
        by_register.service_point_id,
        by_register.usage_date,
        cast(sum(case when by_register.direction = 'import' then by_register.kwh end) as decimal(18, 6)) as import_kwh,
        cast(coalesce(sum(case when by_register.direction = 'export' then by_register.kwh end), 0) as decimal(18, 6))
            as export_kwh,
        cast(min(by_register.n_intervals) as integer) as n_intervals,
        cast(max(calendar.day_seconds / by_register.interval_seconds) as integer) as n_expected,
        cast(max(by_register.n_estimated) as integer) as n_estimated,
        cast(
            max(calendar.day_seconds / by_register.interval_seconds) - min(by_register.n_intervals) as integer
        ) as n_missing,
        cast(max(case when by_register.direction = 'import' then by_register.peak_kwh end) as decimal(18, 6))
            as peak_kwh,
        cast(sum(case when by_register.direction = 'import' then by_register.night_kwh end) as decimal(18, 6))
            as night_kwh,
        cast(sum(case when by_register.direction = 'import' then by_register.evening_kwh end) as decimal(18, 6))
            as evening_kwh
    from by_register
    inner join calendar on by_register.usage_date = calendar.usage_date
    group by by_register.service_point_id, by_register.usage_date
)

select * from final
