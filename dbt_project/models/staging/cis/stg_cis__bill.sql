with

versions as (
    select * from {{ source('cis', 'bill') }}
),

latest as (
    {{ latest_version('versions', ['bill_no'], ['load_date desc', '_loaded_at desc', '_record_no desc']) }}
),

final as (
    select
        {{ padded_key('bill_no', 12) }} as bill_no,
        {{ padded_key('account_no', 12) }} as account_no,
        {{ date_from_yyyymmdd('period_start_date') }} as period_start_date,
        {{ date_from_yyyymmdd('period_end_date') }} as period_end_date,
        {{ date_from_yyyymmdd('issued_date') }} as issued_date,
        {{ date_from_yyyymmdd('due_date') }} as due_date,
        billed_kwh,
        amount as amount_usd,
        read_type,
        coalesce(is_reversed = 'Y', false) as is_reversed,
        load_date,
        _loaded_at
    from latest
)

select * from final
