with

versions as (
    select * from {{ source('dialer', 'call') }}
),

latest as (
    {{ latest_version('versions', ['call_id'], ['load_date desc', '_loaded_at desc', '_record_no desc']) }}
),

final as (
    select
        call_id,
        list_id,
        call_key,
        customer_id as sent_customer_id,
        nullif(trim(account_no), '') as account_no,
        phone,
        {{ instant('dialed_at') }} as dialed_at,
        agent_id,
        disposition,
        talk_seconds,
        attempt_no,
        coalesce(is_random_slot, false) as is_random_slot,
        load_date,
        _loaded_at
    from latest
)

select * from final
