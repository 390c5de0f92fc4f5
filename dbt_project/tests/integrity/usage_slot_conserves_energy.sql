{#- Half-hours hold the energy of complete, valid half-hours only: never more than the intervals, and all of it on days
    without a flaw. -#}
{{ config(tags=['daily']) }}

with

valid as (
    select
        {{ week_start('usage_date') }} as week_start_date,
        sum(cast(kwh as double)) as kwh,
        sum(interval_seconds) as seconds
    from {{ ref('fct_interval_usage') }}
    where direction = 'import' and vee_status = 'valid'
    group by 1
),

slots as (
    select
        week_start_date,
        sum(sum_kwh) as kwh,
        sum(n_half_hours) * 1800 as seconds
    from {{ ref('fct_usage_slot') }}
    group by week_start_date
)

select
    valid.week_start_date,
    valid.kwh as valid_kwh,
    slots.kwh as slot_kwh,
    valid.seconds as valid_seconds,
    slots.seconds as slot_seconds
from valid
left join slots on valid.week_start_date = slots.week_start_date
where
    slots.kwh > valid.kwh + 0.001
    or slots.seconds > valid.seconds
    or (slots.seconds = valid.seconds and abs(slots.kwh - valid.kwh) > 0.001)
    or (slots.week_start_date is null and valid.seconds > 86400)
