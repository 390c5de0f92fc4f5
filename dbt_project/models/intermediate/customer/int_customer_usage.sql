with

usage as (
    select * from {{ ref('fct_usage_daily') }}
    where usage_date <= {{ as_of_date() }} and usage_date > {{ add_days(as_of_date(), -60) }}
),

accounts as (
    select * from {{ ref('dim_account') }}
),

-- Use belongs to whoever held the account that day, not to whoever holds it now.
attributed as (
    select
        accounts.customer_id,
        usage.usage_date > {{ add_days(as_of_date(), -30) }} as is_recent,
        usage.import_kwh,
        usage.export_kwh
    from usage
    inner join accounts
        on
            usage.service_point_id = accounts.service_point_id
            and usage.usage_date >= accounts.opened_date
            and (accounts.closed_date is null or usage.usage_date < accounts.closed_date)
),

final as (
    select
        customer_id,
        sum(case when is_recent then import_kwh end) as usage_30d_kwh,
        sum(case when not is_recent then import_kwh end) as usage_prev_30d_kwh,
        sum(case when is_recent then export_kwh end) as export_30d_kwh
    from attributed
    where customer_id is not null
    group by customer_id
)

select * from final
