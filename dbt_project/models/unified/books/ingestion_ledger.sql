with

ledger as (
    select * from {{ ref('stg_gridcrm__ingestion_ledger') }}
),

final as (
    select
        source,
        file_id,
        sha256,
        name,
        remote_path,
        size_bytes,
        business_date,
        state,
        reason,
        records_read,
        records_loaded,
        records_superseded,
        records_quarantined,
        -- Before a file is published, and when it was refused, there is nothing to balance.
        case
            when state in ('published', 'superseded')
                then records_read = records_loaded + records_superseded + records_quarantined
        end as is_balanced,
        n_control_totals,
        n_control_totals_wrong,
        decoder_version,
        times_seen,
        first_seen_at,
        last_seen_at,
        published_at,
        superseded_by_file_id,
        undeclared_columns,
        times_decoded
    from ledger
)

select * from final
