{#- When a bill was paid, from the payments that name it: a bill counts as paid on the day the sum reaches its amount. -#}

with

bills as (
    select * from {{ ref('stg_cis__bill') }}
),

payments as (
    select * from {{ ref('stg_cis__payment') }}
    where
        status = 'posted'
        and bill_no is not null
        and received_date <= {{ as_of_date() }}
),

running as (
    select
        bill_no,
        received_date,
        amount_usd,
        sum(amount_usd) over (
            partition by bill_no order by received_date, payment_no
            rows between unbounded preceding and current row
        ) as paid_so_far_usd
    from payments
),

settled as (
    select
        bills.bill_no,
        sum(running.amount_usd) as paid_usd,
        min(case when running.paid_so_far_usd >= bills.amount_usd then running.received_date end) as paid_date
    from bills
    inner join running on bills.bill_no = running.bill_no
    group by bills.bill_no
),

-- A bill for nothing, or a credit, is settled the day it is issued.
final as (
    select
        bills.bill_no,
        cast(coalesce(settled.paid_usd, 0) as decimal(12, 2)) as paid_usd,
        case when bills.amount_usd <= 0 then bills.issued_date else settled.paid_date end as paid_date
    from bills
    left join settled on bills.bill_no = settled.bill_no
)

select * from final
