with

xref as (
    select * from {{ source('gridcrm', 'customer_xref') }}
),

aliases as (
    select * from {{ ref('int_customer_aliases') }}
),

final as (
    select
        xref.record_id,
        xref.source,
        xref.source_key,
        coalesce(aliases.customer_id, xref.customer_id) as customer_id,
        xref.match_probability,
        xref.decided_by,
        xref.first_assigned_at
    from xref
    left join aliases on xref.customer_id = aliases.alias_customer_id
)

select * from final
