with

outages as (
    select * from {{ ref('stg_oms__outage') }}
),

premises as (
    select * from {{ ref('dim_premise') }}
),

accounts as (
    select * from {{ ref('dim_account') }}
),

-- The OMS names a premise where it knows one; otherwise the whole feeder was out.
affected as (
    select
        outages.*,
        premises.premise_id
    from outages
    inner join premises on outages.premise_no = premises.premise_no
    union all
    select
        outages.*,
        premises.premise_id
    from outages
    inner join premises on outages.feeder = premises.feeder
    where outages.premise_no is null
),

local_outages as (
    select
        *,
        cast({{ to_local('started_at', var('time_zone')) }} as date) as started_date
    from affected
),

-- Whoever was supplied there that day; the newest account if two share the day.
supplied as (
    select
        local_outages.*,
        accounts.service_point_id,
        accounts.customer_id,
        accounts.opened_date,
        accounts.account_id
    from local_outages
    left join accounts
        on
            local_outages.premise_id = accounts.premise_id
            and local_outages.started_date >= accounts.opened_date
            and (accounts.closed_date is null or local_outages.started_date <= accounts.closed_date)
),

one_account as (
    {{ latest_version('supplied', ['outage_id', 'premise_id'], ['opened_date desc nulls last', 'account_id']) }}
),

final as (
    select
        outage_id,
        premise_id,
        service_point_id,
        customer_id,
        started_at,
        restored_at,
        {{ minutes_between('started_at', 'restored_at') }} as minutes,
        cause
    from one_account
)

select * from final
