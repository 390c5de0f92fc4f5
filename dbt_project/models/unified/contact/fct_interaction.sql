with

interactions as (
    select * from {{ ref('stg_crm__interaction') }}
),

record_customers as (
    select * from {{ ref('int_record_customers') }}
),

accounts as (
    select * from {{ ref('dim_account') }}
),

final as (
    select
        interactions.interaction_id,
        coalesce(record_customers.customer_id, accounts.customer_id) as customer_id,
        interactions.account_no as account_id,
        interactions.started_at,
        interactions.channel,
        interactions.topic,
        cast(interactions.duration_seconds as integer) as duration_seconds,
        interactions.is_resolved
    from interactions
    left join record_customers on 'crm:' || interactions.contact_id = record_customers.record_id
    left join accounts on interactions.account_no = accounts.account_id
)

select * from final
