with

versions as (
    select * from {{ source('collections', 'payment_plan') }}
),

latest as (
    {{ latest_version('versions', ['plan_id'], ['_loaded_at desc', 'updated_at desc', '_record_no desc']) }}
),

final as (
    select
        plan_id,
        trim(account_no) as account_no,
        started_date,
        instalments,
        instalment_usd,
        status,
        updated_at,
        _loaded_at
    from latest
    where not coalesce(_is_deleted, false)
)

select * from final
