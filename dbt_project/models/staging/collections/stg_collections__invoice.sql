with

versions as (
    select * from {{ source('collections', 'invoice') }}
),

latest as (
    {{ latest_version('versions', ['invoice_id'], ['_loaded_at desc', 'updated_at desc', '_record_no desc']) }}
),

final as (
    select
        invoice_id,
        trim(account_no) as account_no,
        trim(bill_no) as bill_no,
        issued_date,
        due_date,
        amount_usd,
        open_usd,
        status,
        updated_at,
        _loaded_at
    from latest
    where not coalesce(_is_deleted, false)
)

select * from final
