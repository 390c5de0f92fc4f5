with

runs as (
    select * from {{ ref('stg_han__appliance_use') }}
),

placed as (
    select
        *,
        {{ to_local('started_at', var('time_zone')) }} as local_start,
        cast({{ to_local('started_at', var('time_zone')) }} as date) as local_date
    from runs
),

final as (
    select
        service_point_id,
        appliance,
        started_at,
        local_date,
        {{ half_hour_slot('local_start') }} as local_slot,
        {{ day_type('local_date') }} as day_type,
        cast(duration_seconds as integer) as duration_seconds,
        cast(energy_wh / 1000.0 as decimal(12, 3)) as energy_kwh
    from placed
)

select * from final
