with

accounts as (
    select * from {{ ref('stg_cis__account') }}
),

record_customers as (
    select * from {{ ref('int_record_customers') }}
),

final as (
    select
        accounts.account_no as account_id,
        record_customers.customer_id,
        accounts.customer_no as cis_customer_no,
        'P' || accounts.premise_no as premise_id,
        accounts.service_point_id,
        accounts.meter_serial,
        accounts.tariff_code,
        accounts.opened_date,
        accounts.closed_date,
        accounts.close_reason,
        accounts.contract_end_date,
        cast(accounts.balance_usd as decimal(12, 2)) as balance_usd,
        accounts.payment_method,
        accounts.is_paperless,
        accounts.opened_date <= {{ as_of_date() }}
        and (accounts.closed_date is null or accounts.closed_date > {{ as_of_date() }}) as is_active
    from accounts
    left join record_customers on 'cis:' || accounts.customer_no = record_customers.record_id
)

select * from final
