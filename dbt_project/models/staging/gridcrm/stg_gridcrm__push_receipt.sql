{#- First-contact cards are keyed by telephone: the number stays in raw, receipt_id tells such rows apart. -#}

with

receipts as (
    select * from {{ source('gridcrm', 'push_receipt') }}
),

final as (
    select
        receipt_id,
        push,
        destination,
        case when left(key, 6) = 'phone:' then 'phone' else key end as sent_key,
        op as operation,
        state,
        message,
        payload_hash,
        batch_id,
        attempt,
        as_of_date,
        recorded_at
    from receipts
)

select * from final
