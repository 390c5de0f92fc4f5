with

versions as (
    select * from {{ source('collections', 'account_flag') }}
),

latest as (
    {{ latest_version('versions', ['account_no', 'flag'], ['_loaded_at desc', 'updated_at desc', '_record_no desc']) }}
),

final as (
    select
        trim(account_no) as account_no,
        flag,
        from_date,
        to_date,
        updated_at,
        _loaded_at
    from latest
    where not coalesce(_is_deleted, false)
)

select * from final
