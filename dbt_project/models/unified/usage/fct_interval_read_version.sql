{#- A view: every version is in raw already, and a second copy of years of reads would only say when each counted. -#}
{{ config(materialized='view', tags=['daily']) }}

with

reads as (
    select * from {{ ref('int_interval_reads') }}
),

ordered as (
    select
        *,
        lead(known_since_at) over (
            partition by service_point_id, register_id, interval_start_at
            order by known_since_at, _loaded_at, _record_no
        ) as known_until_at,
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
        quality_method,
        known_since_at,
        known_until_at,
        version_rank = 1 as is_current,
        _loaded_at as received_at,
        source,
        _file_id as file_id
    from ordered
)

select * from final
