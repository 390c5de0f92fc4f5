with

interactions as (
    select * from {{ ref('fct_interaction') }}
    where started_at < {{ as_of_end_at() }} and customer_id is not null
),

calls as (
    select * from {{ ref('fct_call') }}
    where local_date <= {{ as_of_date() }} and customer_id is not null
),

outages as (
    select * from {{ ref('fct_outage') }}
    where started_at < {{ as_of_end_at() }} and customer_id is not null
),

recent_from as (
    select {{ from_local('cast(' ~ add_days(as_of_date(), -89) ~ ' as timestamp)', var('time_zone')) }} as from_at
),

interaction_sums as (
    select
        interactions.customer_id,
        count(case when interactions.started_at >= recent_from.from_at then 1 end) as n_interactions_90d,
        count(
            case when interactions.started_at >= recent_from.from_at and interactions.topic = 'complaint' then 1 end
        ) as n_complaints_90d,
        max(interactions.started_at) as last_interaction_at
    from interactions
    cross join recent_from
    group by interactions.customer_id
),

call_sums as (
    select
        customer_id,
        max(case when is_contact then dialed_at end) as last_call_at,
        count(case when local_date > {{ add_days(as_of_date(), -7) }} then 1 end) as n_call_attempts_7d
    from calls
    group by customer_id
),

outage_sums as (
    select
        outages.customer_id,
        count(*) as n_outages_90d,
        sum(outages.minutes) as outage_minutes_90d
    from outages
    inner join recent_from on outages.started_at >= recent_from.from_at
    group by outages.customer_id
),

everyone as (
    select customer_id from interaction_sums
    union
    select customer_id from call_sums
    union
    select customer_id from outage_sums
),

final as (
    select
        everyone.customer_id,
        interaction_sums.n_interactions_90d,
        interaction_sums.n_complaints_90d,
        outage_sums.n_outages_90d,
        outage_sums.outage_minutes_90d,
        call_sums.n_call_attempts_7d,
        greatest(interaction_sums.last_interaction_at, call_sums.last_call_at) as last_contact_at
    from everyone
    left join interaction_sums on everyone.customer_id = interaction_sums.customer_id
    left join call_sums on everyone.customer_id = call_sums.customer_id
    left join outage_sums on everyone.customer_id = outage_sums.customer_id
)

select * from final
