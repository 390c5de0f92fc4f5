with

bills as (
    select * from {{ ref('fct_bill') }}
    where not is_reversed and issued_date <= {{ as_of_date() }}
),

payments as (
    select * from {{ ref('fct_payment') }}
    where received_date <= {{ as_of_date() }}
),

arrears as (
    select
        customer_id,
        sum(open_usd) as arrears_usd,
        min(due_date) as oldest_open_due_date
    from bills
    where open_usd > 0 and due_date < {{ as_of_date() }}
    group by customer_id
),

-- A bill still open past its due date is late by as much as it is today.
last_year as (
    select
        *,
        coalesce(days_late, greatest({{ days_between('due_date', as_of_date()) }}, 0)) as days_late_so_far
    from bills
    where issued_date > {{ add_months_to(as_of_date(), -12) }}
),

billed as (
    select
        customer_id,
        count(*) as bills_12m,
        sum(amount_usd) as billed_12m_usd,
        sum(billed_kwh) as billed_12m_kwh,
        count(case when days_late_so_far > 0 then 1 end) as late_bills_12m,
        avg(case when due_date < {{ as_of_date() }} then days_late_so_far end) as avg_days_late_12m
    from last_year
    group by customer_id
),

returned as (
    select
        customer_id,
        count(*) as returned_payments_12m
    from payments
    where status = 'returned' and received_date > {{ add_months_to(as_of_date(), -12) }}
    group by customer_id
),

final as (
    select
        coalesce(billed.customer_id, arrears.customer_id, returned.customer_id) as customer_id,
        billed.bills_12m,
        billed.billed_12m_usd,
        billed.billed_12m_kwh,
        billed.late_bills_12m,
        billed.avg_days_late_12m,
        returned.returned_payments_12m,
        arrears.arrears_usd,
        arrears.oldest_open_due_date
    from billed
    full outer join arrears on billed.customer_id = arrears.customer_id
    full outer join returned on coalesce(billed.customer_id, arrears.customer_id) = returned.customer_id
)

select * from final
