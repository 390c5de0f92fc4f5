with

versions as (
    select * from {{ source('campaign', 'event') }}
),

latest as (
    {{ latest_version('versions', ['event_id'], ['load_date desc', '_loaded_at desc', '_record_no desc']) }}
),

final as (
    select
        event_id,
        audience_id,
        member_key,
        customer_id as sent_customer_id,
        event,
        {{ instant('occurred_at') }} as occurred_at,
        value_usd,
        load_date,
        _loaded_at
    from latest
)

select * from final
