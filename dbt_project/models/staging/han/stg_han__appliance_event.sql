with

versions as (
    select * from {{ source('han', 'appliance_event') }}
),

latest as (
    {{
        latest_version(
            'versions', ['service_point_id', 'appliance', 'event', 'occurred_at'],
            ['load_date desc', '_loaded_at desc', '_record_no desc']
        )
    }}
),

final as (
    select
        service_point_id,
        appliance,
        event,
        occurred_at,
        timer_at_local,
        weekdays,
        load_date,
        _loaded_at
    from latest
)

select * from final
