with

versions as (
    select * from {{ source('collections', 'payment') }}
),

latest as (
    {{ latest_version('versions', ['payment_id'], ['_loaded_at desc', 'updated_at desc', '_record_no desc']) }}
),

final as (
    select
        payment_id,
        trim(account_no) as account_no,
        invoice_id,
        received_at,
        amount_usd,
        method,
        status,
        updated_at,
        _loaded_at
    from latest
    where not coalesce(_is_deleted, false)
)

select * from final
