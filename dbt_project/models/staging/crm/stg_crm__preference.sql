with

versions as (
    select * from {{ source('crm', 'preference') }}
),

latest as (
    {{ latest_version('versions', ['contact_id'], ['_loaded_at desc', 'updated_at desc', '_record_no desc']) }}
),

final as (
    select
        trim(contact_id) as contact_id,
        lower(trim(language)) as language,
        preferred_channel,
        nullif(preferred_slot, 'none') as preferred_slot,
        coalesce(is_do_not_call, false) as is_do_not_call,
        updated_at,
        _loaded_at
    from latest
    where not coalesce(_is_deleted, false)
)

select * from final
