with

ledger as (
    select * from {{ source('gridcrm', 'ingestion_ledger') }}
),

final as (
    select
        source,
        file_id,
        sha256,
        name,
        path as remote_path,
        size_bytes,
        business_date,
        state,
        reason,
        records_read,
        loaded as records_loaded,
        superseded as records_superseded,
        quarantined as records_quarantined,
        {{ json_list_length('control_totals') }} as n_control_totals,
        {{ json_list_count('control_totals', 'state', 'wrong') }} as n_control_totals_wrong,
        decoder_version,
        times_seen,
        first_seen_at,
        last_seen_at,
        published_at,
        superseded_by as superseded_by_file_id,
        undeclared as undeclared_columns,
        coalesce(times_decoded, 0) as times_decoded
    from ledger
)

select * from final
