with

payments as (
    select * from {{ ref('stg_cis__payment') }}
),

accounts as (
    select * from {{ ref('dim_account') }}
),

final as (
    select
        payments.payment_no as payment_id,
        payments.account_no as account_id,
        accounts.customer_id,
        payments.bill_no as bill_id,
        payments.received_date,
        cast(payments.amount_usd as decimal(12, 2)) as amount_usd,
        payments.method,
        payments.status
    from payments
    left join accounts on payments.account_no = accounts.account_id
)

select * from final
