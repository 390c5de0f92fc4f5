with

versions as (
    select * from {{ source('cis', 'tariff') }}
),

latest as (
    {{ latest_version('versions', ['tariff_code'], ['load_date desc', '_loaded_at desc', '_record_no desc']) }}
),

final as (
    select
        trim(tariff_code) as tariff_code,
        trim(tariff_name) as tariff_name,
        daily_charge as daily_charge_usd,
        rate_count,
        load_date,
        _loaded_at
    from latest
)

select * from final
