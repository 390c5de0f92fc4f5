with

consents as (
    select * from {{ ref('stg_crm__consent') }}
    where captured_at < {{ as_of_end_at() }}
),

record_customers as (
    select * from {{ ref('int_record_customers') }}
),

-- What each contact said last.
latest_by_contact as (
    {{
        latest_version(
            'consents', ['contact_id', 'purpose', 'channel', 'granularity'], ['captured_at desc', 'consent_id desc']
        )
    }}
),

by_customer as (
    select
        record_customers.customer_id,
        latest_by_contact.purpose,
        latest_by_contact.channel,
        latest_by_contact.granularity,
        latest_by_contact.is_granted,
        latest_by_contact.captured_at,
        latest_by_contact.consent_id,
        latest_by_contact.source
    from latest_by_contact
    inner join record_customers on 'crm:' || latest_by_contact.contact_id = record_customers.record_id
),

-- One person under several contacts: a refusal by any of them holds.
strictest as (
    {{
        latest_version(
            'by_customer', ['customer_id', 'purpose', 'channel', 'granularity'],
            ['is_granted', 'captured_at desc', 'consent_id desc']
        )
    }}
),

final as (
    select
        customer_id,
        purpose,
        channel,
        granularity,
        is_granted,
        captured_at,
        source
    from strictest
)

select * from final
