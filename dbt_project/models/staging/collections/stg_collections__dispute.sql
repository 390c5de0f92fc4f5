with

versions as (
    select * from {{ source('collections', 'dispute') }}
),

latest as (
    {{ latest_version('versions', ['dispute_id'], ['_loaded_at desc', 'updated_at desc', '_record_no desc']) }}
),

final as (
    select
        dispute_id,
        trim(account_no) as account_no,
        invoice_id,
        opened_at,
        closed_at,
        reason,
        status,
        updated_at,
        _loaded_at
    from latest
    where not coalesce(_is_deleted, false)
)

select * from final
