with

aliases as (
    select * from {{ source('gridcrm', 'customer_alias') }}
),

final as (
    select
        alias_customer_id,
        customer_id,
        merged_at
    from aliases
)

select * from final
