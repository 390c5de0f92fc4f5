with

versions as (
    select * from {{ source('cis', 'tariff') }}
),

latest as (
    {{ latest_version('versions', ['tariff_code'], ['load_date desc', '_loaded_at desc', '_record_no desc']) }}
),

rates as (
    {{ unnest_structs('latest', 'rate', ['tariff_code']) }}
),

final as (
    select
        trim(tariff_code) as tariff_code,
        cast(position as integer) as rate_no,
        trim(item.period_name) as period_name,
        item.from_hour,
        item.to_hour,
        item.usd_per_kwh
    from rates
)

select * from final
