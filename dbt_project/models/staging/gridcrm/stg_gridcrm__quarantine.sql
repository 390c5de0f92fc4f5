{#- The bytes of a record are what the source sent, personal values included: they stay in raw. -#}

with

quarantine as (
    select * from {{ source('gridcrm', 'quarantine') }}
),

final as (
    select
        source,
        file_id,
        file_name,
        record_no,
        rule,
        reason,
        quarantined_at,
        load_date
    from quarantine
)

select * from final
