with

versions as (
    select * from {{ source('crm', 'interaction') }}
),

latest as (
    {{ latest_version('versions', ['interaction_id'], ['_loaded_at desc', 'updated_at desc', '_record_no desc']) }}
),

final as (
    select
        interaction_id,
        trim(contact_id) as contact_id,
        nullif(trim(account_no), '') as account_no,
        started_at,
        channel,
        topic,
        duration_seconds,
        agent_id,
        is_resolved,
        updated_at,
        _loaded_at
    from latest
    where not coalesce(_is_deleted, false)
)

select * from final
