with

customers as (
    select * from {{ ref('customer_360') }}
),

treatment as (
    {{ latest_score('treatment') }}
),

offers as (
    select * from treatment
    where channel = 'email'
),

campaigns as (
    select * from {{ ref('stg_crm__campaign') }}
    where channel = 'email' and starts_date <= {{ as_of_date() }}
),

-- The campaign that carries the offer now: the one begun last. An offer without one gets an audience of its own.
current_campaigns as (
    {{ latest_version('campaigns', ['offer_id'], ['starts_date desc', 'campaign_id desc']) }}
),

addressed as (
    select
        offers.*,
        coalesce(current_campaigns.campaign_id, 'offer-' || offers.offer_id) as campaign_id
    from offers
    left join current_campaigns on offers.offer_id = current_campaigns.offer_id
),

final as (
    select
        addressed.campaign_id || ':' || customers.customer_id as member_key,
        addressed.campaign_id as audience_id,
        customers.customer_id,
        customers.email,
        addressed.offer_id,
        addressed.content_id,
        customers.language,
        cast(addressed.propensity as double) as propensity,
        {{ withheld_reason("'marketing'", "'email'", treatment='addressed') }} as withheld_reason
    from addressed
    inner join customers on addressed.subject_id = customers.customer_id
)

select * from final
