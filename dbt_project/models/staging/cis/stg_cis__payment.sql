with

versions as (
    select * from {{ source('cis', 'payment') }}
),

latest as (
    {{ latest_version('versions', ['payment_no'], ['load_date desc', '_loaded_at desc', '_record_no desc']) }}
),

final as (
    select
        {{ padded_key('payment_no', 12) }} as payment_no,
        {{ padded_key('account_no', 12) }} as account_no,
        case when bill_no > 0 then {{ padded_key('bill_no', 12) }} end as bill_no,
        {{ date_from_yyyymmdd('received_date') }} as received_date,
        amount as amount_usd,
        trim(method) as method,
        case status when 'P' then 'posted' when 'R' then 'returned' end as status,
        load_date,
        _loaded_at
    from latest
)

select * from final
