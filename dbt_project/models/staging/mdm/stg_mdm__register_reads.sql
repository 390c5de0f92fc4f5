with

versions as (
    select * from {{ source('mdm', 'register_reads') }}
),

latest as (
    {{
        latest_version(
            'versions',
            ['service_point_id', 'register_id', 'read_to_at'],
            ['updated_at desc', '_loaded_at desc', '_record_no desc']
        )
    }}
),

final as (
    select
        service_point_id,
        register_id,
        meter_serial,
        direction,
        unit,
        read_from_at,
        read_to_at,
        previous_read,
        current_read,
        quantity,
        quality_flag,
        quality_method,
        reason_code,
        updated_at,
        load_date,
        _loaded_at
    from latest
)

select * from final
