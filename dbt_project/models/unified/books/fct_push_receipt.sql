with

receipts as (
    select * from {{ ref('stg_gridcrm__push_receipt') }}
),

aliases as (
    select * from {{ ref('int_customer_aliases') }}
),

accounts as (
    select * from {{ ref('dim_account') }}
),

-- A key names the customer itself or, of a first-contact card and an alert, one of the customer's accounts.
named as (
    select
        *,
        {{ regexp_first('sent_key', 'C[0-9a-f]{12}') }} as sent_customer_id,
        right({{ regexp_first('sent_key', '^(account:)?[0-9]{12}') }}, 12) as sent_account_id
    from receipts
),

final as (
    select
        named.receipt_id,
        named.push,
        named.destination,
        named.sent_key,
        coalesce(aliases.customer_id, named.sent_customer_id, accounts.customer_id) as customer_id,
        named.operation,
        named.state,
        named.message,
        named.payload_hash,
        named.batch_id,
        cast(named.attempt as integer) as attempt,
        named.as_of_date,
        named.recorded_at
    from named
    left join aliases on named.sent_customer_id = aliases.alias_customer_id
    left join accounts on named.sent_account_id = accounts.account_id
)

select * from final
