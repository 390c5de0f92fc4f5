with

accounts as (
    select * from {{ ref('dim_account') }}
),

usage as (
    select * from {{ ref('fct_usage_daily') }}
),

-- The account in force: an open one before a closed one, then the newest.
current_accounts as (
    {{ latest_version('accounts', ['service_point_id'], ['is_active desc', 'opened_date desc', 'account_id desc']) }}
),

exporters as (
    select distinct service_point_id
    from usage
    where export_kwh > 0
),

final as (
    select
        current_accounts.service_point_id,
        current_accounts.premise_id,
        current_accounts.meter_serial,
        current_accounts.account_id,
        current_accounts.customer_id,
        current_accounts.tariff_code,
        exporters.service_point_id is not null as has_export
    from current_accounts
    left join exporters on current_accounts.service_point_id = exporters.service_point_id
)

select * from final
