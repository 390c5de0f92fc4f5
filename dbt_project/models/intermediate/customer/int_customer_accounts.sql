{#- Only accounts opened by the day spoken of: an account of tomorrow makes no customer today. -#}

with

accounts as (
    select * from {{ ref('dim_account') }}
    where opened_date <= {{ as_of_date() }} and customer_id is not null
),

ranked as (
    select
        *,
        row_number() over (
            partition by customer_id order by is_active desc, opened_date desc, account_id desc
        ) as account_rank
    from accounts
),

primary_accounts as (
    select * from ranked
    where account_rank = 1
),

sums as (
    select
        customer_id,
        {{ comma_list('account_id') }} as account_ids,
        count(*) as n_accounts,
        count(case when is_active then 1 end) as n_active_accounts,
        sum(balance_usd) as balance_usd,
        max(closed_date) as last_closed_date
    from ranked
    group by customer_id
),

final as (
    select
        sums.customer_id,
        sums.account_ids,
        sums.n_accounts,
        sums.n_active_accounts,
        sums.balance_usd,
        sums.n_active_accounts = 0 as has_ended,
        case when sums.n_active_accounts = 0 then sums.last_closed_date end as ended_date,
        case when sums.n_active_accounts = 0 then primary_accounts.close_reason end as end_reason,
        primary_accounts.account_id as primary_account_id,
        primary_accounts.premise_id as primary_premise_id,
        primary_accounts.service_point_id as primary_service_point_id,
        primary_accounts.tariff_code,
        primary_accounts.contract_end_date,
        primary_accounts.payment_method,
        primary_accounts.is_paperless
    from sums
    inner join primary_accounts on sums.customer_id = primary_accounts.customer_id
)

select * from final
