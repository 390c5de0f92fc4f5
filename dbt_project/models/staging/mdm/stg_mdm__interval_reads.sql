{{ config(tags=['daily']) }}

with

source as (
    select * from {{ source('mdm', 'interval_reads') }}
),

final as (
    select
        service_point_id,
        register_id,
        meter_serial,
        direction,
        interval_start_at,
        interval_seconds,
        -- An N read says that there was none: whatever stands in the value is not a reading.
        case when quality_flag <> 'N' then value end as raw_kwh,
        quality_flag,
        quality_method,
        reason_code,
        coalesce(updated_at, _loaded_at) as known_since_at,
        record_no as source_record_no,
        load_date,
        _file_id,
        _record_no,
        _loaded_at
    from source
    where unit = 'kWh'
)

select * from final
