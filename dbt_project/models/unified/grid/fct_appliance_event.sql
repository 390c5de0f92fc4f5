with

events as (
    select * from {{ ref('stg_han__appliance_event') }}
),

placed as (
    select
        *,
        {{ to_local('occurred_at', var('time_zone')) }} as local_time,
        cast({{ to_local('occurred_at', var('time_zone')) }} as date) as local_date
    from events
),

final as (
    select
        service_point_id,
        appliance,
        event,
        occurred_at,
        local_date,
        {{ half_hour_slot('local_time') }} as local_slot,
        {{ day_type('local_date') }} as day_type,
        timer_at_local,
        weekdays
    from placed
)

select * from final
