{#- What the intervals hold, the days hold: import and export to the last watt-hour, and no interval counted twice. -#}
{{ config(tags=['daily']) }}

{%- set days = delivered_days() %}

with

intervals as (
    select
        usage_date,
        sum(case when direction = 'import' then kwh else 0 end) as import_kwh,
        sum(case when direction = 'export' then kwh else 0 end) as export_kwh
    from {{ ref('fct_interval_usage') }}
    where {{ is_one_of_days('usage_date', days) }}
    group by usage_date
),

daily as (
    select
        usage_date,
        sum(coalesce(import_kwh, 0)) as import_kwh,
        sum(export_kwh) as export_kwh
    from {{ ref('fct_usage_daily') }}
    where {{ is_one_of_days('usage_date', days) }}
    group by usage_date
)

select
    intervals.usage_date,
    intervals.import_kwh as intervals_import_kwh,
    daily.import_kwh as daily_import_kwh,
    intervals.export_kwh as intervals_export_kwh,
    daily.export_kwh as daily_export_kwh
from intervals
full outer join daily on intervals.usage_date = daily.usage_date
where
    intervals.usage_date is null
    or daily.usage_date is null
    or intervals.import_kwh <> daily.import_kwh
    or intervals.export_kwh <> daily.export_kwh
