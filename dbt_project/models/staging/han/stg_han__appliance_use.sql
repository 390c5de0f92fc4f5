with

versions as (
    select * from {{ source('han', 'appliance_use') }}
),

latest as (
    {{
        latest_version(
            'versions', ['service_point_id', 'appliance', 'started_at'],
            ['load_date desc', '_loaded_at desc', '_record_no desc']
        )
    }}
),

final as (
    select
        service_point_id,
        appliance,
        started_at,
        duration_seconds,
        energy_wh,
        load_date,
        _loaded_at
    from latest
)

select * from final
