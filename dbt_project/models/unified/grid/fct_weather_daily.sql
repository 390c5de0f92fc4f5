with

observations as (
    select * from {{ ref('stg_weather__observation') }}
),

local_hours as (
    select
        weather_station,
        cast({{ to_local('observed_at', var('time_zone')) }} as date) as weather_date,
        temperature_c
    from observations
    where temperature_c is not null
),

days as (
    select
        weather_station,
        weather_date,
        avg(temperature_c) as mean_temp_c,
        min(temperature_c) as min_temp_c,
        max(temperature_c) as max_temp_c
    from local_hours
    group by weather_station, weather_date
),

final as (
    select
        weather_station,
        weather_date,
        cast(mean_temp_c as double) as mean_temp_c,
        cast(min_temp_c as double) as min_temp_c,
        cast(max_temp_c as double) as max_temp_c,
        cast(greatest(18 - mean_temp_c, 0) as double) as hdd18,
        cast(greatest(mean_temp_c - 18, 0) as double) as cdd18
    from days
)

select * from final
