with

preferences as (
    select * from {{ ref('stg_crm__preference') }}
),

record_customers as (
    select * from {{ ref('int_record_customers') }}
),

known as (
    select
        record_customers.customer_id,
        preferences.*
    from preferences
    inner join record_customers on 'crm:' || preferences.contact_id = record_customers.record_id
),

refusals as (
    select
        customer_id,
        bool_or(is_do_not_call) as is_do_not_call
    from known
    group by customer_id
),

-- The newest wish counts, but a wish not to be called holds wherever it was said.
newest as (
    {{ latest_version('known', ['customer_id'], ['updated_at desc', 'contact_id']) }}
),

final as (
    select
        newest.customer_id,
        newest.preferred_channel,
        newest.preferred_slot,
        refusals.is_do_not_call
    from newest
    inner join refusals on newest.customer_id = refusals.customer_id
)

select * from final
