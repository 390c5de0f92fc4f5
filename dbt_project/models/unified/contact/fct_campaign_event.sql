with

events as (
    select * from {{ ref('stg_campaign__event') }}
),

aliases as (
    select * from {{ ref('int_customer_aliases') }}
),

final as (
    select
        events.event_id,
        events.audience_id,
        events.member_key,
        coalesce(aliases.customer_id, events.sent_customer_id) as customer_id,
        events.event,
        events.occurred_at,
        cast(events.value_usd as decimal(12, 2)) as value_usd
    from events
    left join aliases on events.sent_customer_id = aliases.alias_customer_id
)

select * from final
