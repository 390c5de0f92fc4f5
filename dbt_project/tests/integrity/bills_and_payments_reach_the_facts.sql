{#- Every bill and payment ever extracted is in its fact once, with the amount of its latest version. -#}

with

compared as (
    select
        'bill' as fact,
        (select count(distinct bill_no) from {{ source('cis', 'bill') }}) as n_raw,
        (select count(*) from {{ ref('fct_bill') }}) as n_fact,
        (select sum(amount_usd) from {{ ref('stg_cis__bill') }}) as staging_usd,
        (select sum(amount_usd) from {{ ref('fct_bill') }}) as fact_usd
    union all
    select
        'payment' as fact,
        (select count(distinct payment_no) from {{ source('cis', 'payment') }}) as n_raw,
        (select count(*) from {{ ref('fct_payment') }}) as n_fact,
        (select sum(amount_usd) from {{ ref('stg_cis__payment') }}) as staging_usd,
        (select sum(amount_usd) from {{ ref('fct_payment') }}) as fact_usd
)

select *
from compared
where n_raw <> n_fact or coalesce(staging_usd, 0) <> coalesce(fact_usd, 0)
