with

statuses as (
    select * from {{ ref('stg_print__letter_status') }}
),

aliases as (
    select * from {{ ref('int_customer_aliases') }}
),

-- A letter's id begins with the customer it was written to.
addressed as (
    select
        *,
        left(letter_id, 13) as sent_customer_id
    from statuses
),

final as (
    select
        addressed.letter_id,
        addressed.status,
        addressed.status_at,
        coalesce(aliases.customer_id, addressed.sent_customer_id) as customer_id
    from addressed
    left join aliases on addressed.sent_customer_id = aliases.alias_customer_id
)

select * from final
