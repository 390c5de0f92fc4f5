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
        member as archive_member,
        record_no,
        column_name,
        rule,
        reason,
        coalesce(state, 'open') as state,
        quarantined_at,
        coalesce(last_seen_at, quarantined_at) as last_seen_at,
        replayed_at,
        load_date
    from quarantine
)

select * from final
