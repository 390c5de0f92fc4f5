{#- A bill paid twice is the bank's or the customer's mistake, not ours: worth a look, no reason to stop. -#}
{{ config(severity='warn') }}

select
    bill_id,
    amount_usd,
    paid_usd
from {{ ref('fct_bill') }}
where amount_usd > 0 and paid_usd > amount_usd
