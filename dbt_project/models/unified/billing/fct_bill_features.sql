{#- What was known about a bill the day before it fell due, and nothing later: the table a model of non-payment
    learns from. Every prior bill is looked at as it stood on that day, not as it ended. -#}

with

bills as (
    select * from {{ ref('fct_bill') }}
    where not is_reversed
),

payments as (
    select * from {{ ref('fct_payment') }}
),

accounts as (
    select * from {{ ref('dim_account') }}
),

plans as (
    select * from {{ ref('stg_collections__payment_plan') }}
),

cutoffs as (
    select
        *,
        {{ add_days('due_date', -1) }} as cutoff_date,
        avg(amount_usd) over (
            partition by account_id order by issued_date, bill_id
            rows between 12 preceding and 1 preceding
        ) as avg_prior_usd
    from bills
),

-- Each earlier bill of the account, in the state it had at the cutoff.
prior_bills as (
    select
        cutoffs.bill_id,
        cutoffs.cutoff_date,
        earlier.due_date,
        case when earlier.paid_date <= cutoffs.cutoff_date then earlier.paid_date end as paid_date,
        row_number() over (
            partition by cutoffs.bill_id order by earlier.due_date desc, earlier.bill_id desc
        ) as recency
    from cutoffs
    inner join bills as earlier
        on
            cutoffs.account_id = earlier.account_id
            and earlier.bill_id <> cutoffs.bill_id
            and earlier.issued_date < cutoffs.issued_date
            and earlier.due_date <= cutoffs.cutoff_date
),

prior_delays as (
    select
        *,
        greatest({{ days_between('due_date', 'coalesce(paid_date, cutoff_date)') }}, 0) as days_late
    from prior_bills
),

prior_behaviour as (
    select
        bill_id,
        count(*) as n_prior_bills,
        avg(case when days_late > 0 then 1.0 else 0.0 end) as prior_late_share,
        avg(days_late) as prior_avg_days_late,
        count(
            case when days_late > 30 and due_date > {{ add_months_to('cutoff_date', -12) }} then 1 end
        ) as prior_30dpd_count_12m,
        max(case when recency = 1 then days_late end) as last_days_late
    from prior_delays
    group by bill_id
),

paid_at_issue as (
    select
        cutoffs.bill_id,
        earlier.bill_id as prior_bill_id,
        earlier.amount_usd,
        coalesce(sum(payments.amount_usd), 0) as paid_usd
    from cutoffs
    inner join bills as earlier
        on cutoffs.account_id = earlier.account_id and earlier.issued_date < cutoffs.issued_date
    left join payments
        on
            earlier.bill_id = payments.bill_id
            and payments.status = 'posted'
            and payments.received_date <= cutoffs.issued_date
    group by cutoffs.bill_id, earlier.bill_id, earlier.amount_usd
),

open_at_issue as (
    select
        bill_id,
        sum(greatest(amount_usd - paid_usd, 0)) as open_usd_at_issue
    from paid_at_issue
    group by bill_id
),

returns as (
    select
        cutoffs.bill_id,
        count(*) as prior_returned_count
    from cutoffs
    inner join payments
        on
            cutoffs.account_id = payments.account_id
            and payments.status = 'returned'
            and payments.received_date <= cutoffs.cutoff_date
    group by cutoffs.bill_id
),

-- The status of a plan is known only as of today, so the agreed months decide whether one ran.
running_plans as (
    select distinct cutoffs.bill_id
    from cutoffs
    inner join plans
        on
            cutoffs.account_id = plans.account_no
            and plans.started_date <= cutoffs.cutoff_date
            and {{ add_months_to('plans.started_date', 'plans.instalments') }} > cutoffs.cutoff_date
),

final as (
    select
        cutoffs.bill_id,
        cutoffs.account_id,
        cutoffs.customer_id,
        cutoffs.due_date,
        cutoffs.amount_usd,
        cast(cutoffs.amount_usd / nullif(cutoffs.avg_prior_usd, 0) as double) as amount_ratio,
        cast(coalesce(prior_behaviour.n_prior_bills, 0) as integer) as n_prior_bills,
        cast(prior_behaviour.prior_late_share as double) as prior_late_share,
        cast(coalesce(prior_behaviour.prior_30dpd_count_12m, 0) as integer) as prior_30dpd_count_12m,
        cast(prior_behaviour.prior_avg_days_late as double) as prior_avg_days_late,
        prior_behaviour.last_days_late,
        cast(coalesce(returns.prior_returned_count, 0) as integer) as prior_returned_count,
        cast(coalesce(open_at_issue.open_usd_at_issue, 0) as decimal(12, 2)) as open_usd_at_issue,
        greatest({{ days_between('accounts.opened_date', 'cutoffs.due_date') }}, 0) as tenure_days,
        accounts.payment_method,
        accounts.is_paperless,
        running_plans.bill_id is not null as has_plan,
        cutoffs.is_30dpd,
        {{
            months_between(
                'min(cutoffs.issued_date) over (partition by cutoffs.account_id)', 'cutoffs.issued_date'
            )
        }} as months_since_start
    from cutoffs
    left join prior_behaviour on cutoffs.bill_id = prior_behaviour.bill_id
    left join open_at_issue on cutoffs.bill_id = open_at_issue.bill_id
    left join returns on cutoffs.bill_id = returns.bill_id
    left join running_plans on cutoffs.bill_id = running_plans.bill_id
    left join accounts on cutoffs.account_id = accounts.account_id
)

select * from final
