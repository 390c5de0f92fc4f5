{#- Each account belongs to a customer of customer_360, and the 360 counts it. -#}

with

accounts as (
    select * from {{ ref('dim_account') }}
    where opened_date <= {{ as_of_date() }}
),

customers as (
    select * from {{ ref('customer_360') }}
),

counted as (
    select
        customer_id,
        count(*) as n_accounts
    from accounts
    group by customer_id
)

select
    counted.customer_id,
    counted.n_accounts,
    customers.n_accounts as n_accounts_360
from counted
left join customers on counted.customer_id = customers.customer_id
where customers.customer_id is null or customers.n_accounts <> counted.n_accounts
