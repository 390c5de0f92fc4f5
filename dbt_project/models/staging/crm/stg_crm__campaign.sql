with

versions as (
    select * from {{ source('crm', 'campaign') }}
),

latest as (
    {{ latest_version('versions', ['campaign_id'], ['_loaded_at desc', 'updated_at desc', '_record_no desc']) }}
),

final as (
    select
        trim(campaign_id) as campaign_id,
        trim(name) as campaign_name,
        trim(offer_id) as offer_id,
        channel,
        purpose,
        starts_date,
        ends_date,
        treatment_share,
        updated_at,
        _loaded_at
    from latest
    where not coalesce(_is_deleted, false)
)

select * from final
