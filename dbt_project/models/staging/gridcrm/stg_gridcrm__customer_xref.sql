with

records as (
    select * from {{ source('gridcrm', 'customer_xref') }}
),

final as (
    select
        record_id,
        customer_id,
        source,
        source_key,
        match_probability,
        decided_by,
        first_assigned_at
    from records
)

select * from final
