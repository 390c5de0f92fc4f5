with

versions as (
    select * from {{ source('crm', 'consent') }}
),

latest as (
    {{ latest_version('versions', ['consent_id'], ['_loaded_at desc', 'updated_at desc', '_record_no desc']) }}
),

final as (
    select
        consent_id,
        trim(contact_id) as contact_id,
        purpose,
        channel,
        granularity,
        is_granted,
        captured_at,
        source,
        updated_at,
        _loaded_at
    from latest
    where not coalesce(_is_deleted, false)
)

select * from final
