with

versions as (
    select * from {{ source('cis', 'premise') }}
),

latest as (
    {{ latest_version('versions', ['premise_no'], ['load_date desc', '_loaded_at desc', '_record_no desc']) }}
),

final as (
    select
        {{ padded_key('premise_no', 10) }} as premise_no,
        trim(address_line) as address_line,
        trim(city) as city,
        trim(state_code) as state_code,
        trim(postcode) as postcode,
        trim(feeder) as feeder,
        trim(weather_station) as weather_station,
        trim(time_zone) as time_zone,
        dwelling,
        latitude,
        longitude,
        {{ instant_from_yyyymmddhhmmss('changed_at', var('time_zone')) }} as changed_at,
        load_date,
        _loaded_at
    from latest
)

select * from final
