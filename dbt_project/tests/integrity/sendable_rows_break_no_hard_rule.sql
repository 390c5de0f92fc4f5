{#- The safeguards, said a second time and not by the macro that withholds: of what may be sent, nothing goes to the
    dead, to who must not be contacted, about money to who disputes, is bankrupt, pays by plan or, on paper, needs care;
    and nothing goes where consent or address is missing. -#}

with

customers as (
    select * from {{ ref('customer_360') }}
),

sendable as (
    select customer_id, purpose, 'phone' as channel, phone_e164 as address
    from {{ ref('push_dialer_call_list') }}
    where withheld_reason is null
    union all
    select customer_id, purpose, 'letter' as channel, address_line as address
    from {{ ref('push_letters') }}
    where withheld_reason is null
    union all
    select customer_id, 'marketing' as purpose, 'email' as channel, email as address
    from {{ ref('push_campaign_audience') }}
    where withheld_reason is null
)

select
    sendable.customer_id,
    sendable.purpose,
    sendable.channel
from sendable
left join customers on sendable.customer_id = customers.customer_id
where
    customers.customer_id is null
    or sendable.address is null
    or customers.is_deceased
    or customers.is_do_not_contact
    or (sendable.channel = 'phone' and customers.is_do_not_call)
    or (
        sendable.purpose <> 'marketing'
        and (customers.has_open_dispute or customers.is_bankrupt or customers.has_active_plan)
    )
    or (sendable.purpose = 'collections' and sendable.channel = 'letter' and customers.is_priority)
    or (sendable.purpose = 'marketing' and sendable.channel = 'email' and not customers.consent_marketing_email)
    or (sendable.purpose = 'marketing' and sendable.channel = 'phone' and not customers.consent_marketing_phone)
    or (sendable.purpose = 'marketing' and sendable.channel = 'letter' and not customers.consent_marketing_letter)
    or (sendable.purpose <> 'marketing' and sendable.channel = 'phone' and not customers.consent_collections_phone)
