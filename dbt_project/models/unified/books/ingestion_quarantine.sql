with

quarantine as (
    select * from {{ ref('stg_gridcrm__quarantine') }}
),

ledger as (
    select * from {{ ref('stg_gridcrm__ingestion_ledger') }}
),

final as (
    select
        quarantine.source,
        quarantine.file_id,
        quarantine.file_name,
        ledger.business_date,
        quarantine.archive_member,
        quarantine.record_no,
        quarantine.column_name,
        quarantine.rule,
        quarantine.reason,
        quarantine.state,
        quarantine.quarantined_at,
        quarantine.last_seen_at,
        quarantine.replayed_at,
        ledger.decoder_version
    from quarantine
    left join ledger on quarantine.source = ledger.source and quarantine.file_id = ledger.file_id
)

select * from final
