with

customers as (
    select * from {{ ref('customer_360') }}
),

accounts as (
    select * from {{ ref('dim_account') }}
),

cards as (
    {{ latest_score('inbound_card') }}
),

-- A caller is found by number or by any account.
keys as (
    select
        customer_id,
        'phone:' || primary_phone_e164 as lookup_key
    from customers
    where primary_phone_e164 is not null
    union all
    select
        customer_id,
        'account:' || account_id as lookup_key
    from accounts
    where customer_id is not null
),

shared as (
    select
        lookup_key,
        min(customer_id) as customer_id,
        count(*) as n_customers
    from keys
    group by lookup_key
),

-- One number, two customers: a card shown to the wrong one would tell a stranger's affairs.
final as (
    select
        shared.lookup_key,
        shared.customer_id,
        cards.card,
        customers.as_of_date,
        case
            when customers.is_deceased then 'deceased'
            when shared.n_customers > 1 then 'ambiguous_lookup'
            when cards.card is null or not cards.eligible then 'ineligible'
        end as withheld_reason
    from shared
    inner join customers on shared.customer_id = customers.customer_id
    left join cards on shared.customer_id = cards.subject_id
)

select * from final
