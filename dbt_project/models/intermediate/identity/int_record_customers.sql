with

xref as (
    select * from {{ ref('stg_gridcrm__customer_xref') }}
),

aliases as (
    select * from {{ ref('stg_gridcrm__customer_alias') }}
),

final as (
    select
        xref.record_id,
        xref.source,
        xref.source_key,
        coalesce(aliases.customer_id, xref.customer_id) as customer_id
    from xref
    left join aliases on xref.customer_id = aliases.alias_customer_id
)

select * from final
