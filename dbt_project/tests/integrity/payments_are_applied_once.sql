{#- What bills count as paid is what was posted for them by the as-of date, neither more nor less. -#}

with

payments as (
    select
        bill_id,
        sum(amount_usd) as posted_usd
    from {{ ref('fct_payment') }}
    where status = 'posted' and received_date <= {{ as_of_date() }}
    group by bill_id
),

bills as (
    select * from {{ ref('fct_bill') }}
)

select
    bills.bill_id,
    bills.paid_usd,
    payments.posted_usd
from bills
left join payments on bills.bill_id = payments.bill_id
where
    bills.paid_usd <> coalesce(payments.posted_usd, 0)
    or (not bills.is_reversed and bills.amount_usd > 0 and bills.open_usd <> greatest(bills.amount_usd - bills.paid_usd, 0))
    or (bills.paid_date is not null and bills.open_usd > 0)
    or (bills.paid_date is null and bills.amount_usd > 0 and bills.paid_usd >= bills.amount_usd)
