with

tariffs as (
    select * from {{ ref('stg_cis__tariff') }}
),

rates as (
    select * from {{ ref('stg_cis__tariff_rate') }}
),

-- Hours a day a rate applies, midnight included; a rate without hours applies all day.
weighted as (
    select
        tariff_code,
        usd_per_kwh,
        case
            when to_hour > from_hour then to_hour - from_hour
            else 24 - from_hour + to_hour
        end as hours
    from rates
),

prices as (
    select
        tariff_code,
        sum(usd_per_kwh * hours) / sum(hours) as avg_usd_per_kwh
    from weighted
    group by tariff_code
),

final as (
    select
        tariffs.tariff_code,
        tariffs.tariff_name,
        cast(tariffs.daily_charge_usd as decimal(9, 4)) as daily_charge_usd,
        cast(prices.avg_usd_per_kwh as decimal(9, 5)) as avg_usd_per_kwh
    from tariffs
    left join prices on tariffs.tariff_code = prices.tariff_code
)

select * from final
