{{ config(tags=['daily']) }}

with

reads as (
    select * from {{ ref('stg_mdm__interval_reads') }}
),

ranked as (
    select
        *,
        {{ to_local('interval_start_at', var('time_zone')) }} as local_start,
        row_number() over (
            partition by service_point_id, register_id, interval_start_at
            order by known_since_at desc, _loaded_at desc, _record_no desc
        ) as version_rank
    from reads
),

final as (
    select
        service_point_id,
        register_id,
        direction,
        interval_start_at,
        interval_seconds,
        raw_kwh,
        quality_flag,
        reason_code,
        known_since_at,
        cast(local_start as date) as usage_date,
        cast(extract(hour from local_start) * 60 + extract(minute from local_start) as smallint) as local_minute
    from ranked
    where version_rank = 1
)

select * from final
