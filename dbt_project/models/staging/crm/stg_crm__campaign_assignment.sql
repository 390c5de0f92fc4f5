with

versions as (
    select * from {{ source('crm', 'campaign_assignment') }}
),

latest as (
    {{
        latest_version(
            'versions', ['campaign_id', 'contact_id'],
            ['_loaded_at desc', 'updated_at desc', '_record_no desc']
        )
    }}
),

final as (
    select
        trim(campaign_id) as campaign_id,
        trim(contact_id) as contact_id,
        arm,
        assignment_probability,
        assigned_at,
        responded_at,
        response_value_usd,
        updated_at,
        _loaded_at
    from latest
    where not coalesce(_is_deleted, false)
)

select * from final
