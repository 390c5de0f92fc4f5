with

versions as (
    select * from {{ source('weather', 'observation') }}
),

latest as (
    {{ latest_version('versions', ['station', 'observed_at'], ['load_date desc', '_loaded_at desc', '_record_no desc']) }}
),

final as (
    select
        station as weather_station,
        {{ instant('observed_at') }} as observed_at,
        temperature_c,
        humidity_pct,
        load_date,
        _loaded_at
    from latest
)

select * from final
