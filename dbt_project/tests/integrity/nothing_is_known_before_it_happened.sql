{#- Features of a bill stop the day before it falls due: no bill can have more earlier bills, or more lateness, than the
    account had by then. -#}

with

features as (
    select * from {{ ref('fct_bill_features') }}
),

bills as (
    select * from {{ ref('fct_bill') }}
    where not is_reversed
),

earlier as (
    select
        features.bill_id,
        count(*) as n_earlier,
        max({{ days_between('bills.due_date', 'features.due_date') }}) as longest_days
    from features
    inner join bills
        on features.account_id = bills.account_id and bills.due_date < features.due_date
    group by features.bill_id
)

select
    features.bill_id,
    features.n_prior_bills,
    earlier.n_earlier,
    features.last_days_late,
    earlier.longest_days
from features
left join earlier on features.bill_id = earlier.bill_id
where
    features.n_prior_bills > coalesce(earlier.n_earlier, 0)
    or features.last_days_late > earlier.longest_days
    or features.prior_avg_days_late > earlier.longest_days
