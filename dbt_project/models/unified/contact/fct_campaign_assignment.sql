with

assignments as (
    select * from {{ ref('stg_crm__campaign_assignment') }}
),

campaigns as (
    select * from {{ ref('stg_crm__campaign') }}
),

record_customers as (
    select * from {{ ref('int_record_customers') }}
),

joined as (
    select
        assignments.*,
        record_customers.customer_id,
        campaigns.offer_id,
        campaigns.channel
    from assignments
    inner join campaigns on assignments.campaign_id = campaigns.campaign_id
    inner join record_customers on 'crm:' || assignments.contact_id = record_customers.record_id
),

-- A customer drawn twice, under two contacts, counts by the first draw: later ones were no longer random for him.
first_draw as (
    {{ latest_version('joined', ['campaign_id', 'customer_id'], ['assigned_at', 'contact_id']) }}
),

final as (
    select
        campaign_id,
        customer_id,
        arm,
        cast(assignment_probability as double) as assignment_probability,
        assigned_at,
        responded_at is not null as has_responded,
        cast(response_value_usd as decimal(12, 2)) as response_value_usd,
        offer_id,
        channel
    from first_draw
)

select * from final
