with

versions as (
    select * from {{ source('print', 'letter_status') }}
),

latest as (
    {{ latest_version('versions', ['letter_id', 'status'], ['load_date desc', '_loaded_at desc', '_record_no desc']) }}
),

final as (
    select
        letter_id,
        status,
        {{ instant('status_at') }} as status_at,
        load_date,
        _loaded_at
    from latest
)

select * from final
