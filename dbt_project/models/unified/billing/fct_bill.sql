with

bills as (
    select * from {{ ref('stg_cis__bill') }}
),

settlement as (
    select * from {{ ref('int_bill_settlement') }}
),

accounts as (
    select * from {{ ref('dim_account') }}
),

joined as (
    select
        bills.bill_no as bill_id,
        bills.account_no as account_id,
        accounts.customer_id,
        bills.period_start_date,
        bills.period_end_date,
        bills.issued_date,
        bills.due_date,
        cast(bills.billed_kwh as decimal(12, 3)) as billed_kwh,
        cast(bills.amount_usd as decimal(12, 2)) as amount_usd,
        bills.read_type,
        bills.is_reversed,
        settlement.paid_usd,
        settlement.paid_date
    from bills
    inner join settlement on bills.bill_no = settlement.bill_no
    left join accounts on bills.account_no = accounts.account_id
),

final as (
    select
        bill_id,
        account_id,
        customer_id,
        period_start_date,
        period_end_date,
        issued_date,
        due_date,
        billed_kwh,
        amount_usd,
        read_type,
        is_reversed,
        paid_usd,
        paid_date,
        cast(case when is_reversed then 0 else greatest(amount_usd - paid_usd, 0) end as decimal(12, 2)) as open_usd,
        case when paid_date is not null then greatest({{ days_between('due_date', 'paid_date') }}, 0) end as days_late,
        -- Known as soon as it is paid in time, or thirty days after the due date have passed; a reversed bill has no say.
        case
            when is_reversed then null
            when paid_date <= {{ add_days('due_date', 30) }} then false
            when {{ as_of_date() }} > {{ add_days('due_date', 30) }} then true
        end as is_30dpd,
        coalesce(read_type = 'E', false) as is_estimated
    from joined
)

select * from final
