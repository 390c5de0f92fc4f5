{#- Every record of a published file was loaded, superseded or set aside, and what the ledger counts as set aside is in
    quarantine: counted there, not taken from the ledger. -#}

with

files as (
    select * from {{ ref('ingestion_ledger') }}
    where state = 'published'
),

set_aside as (
    select
        source,
        file_id,
        count(*) as n_records
    from {{ ref('stg_gridcrm__quarantine') }}
    where state = 'open'
    group by source, file_id
)

select
    files.source,
    files.file_id,
    files.records_read,
    files.records_loaded,
    files.records_superseded,
    files.records_quarantined,
    set_aside.n_records as n_in_quarantine
from files
left join set_aside on files.source = set_aside.source and files.file_id = set_aside.file_id
where
    files.records_read <> files.records_loaded + files.records_superseded + files.records_quarantined
    or files.records_quarantined <> coalesce(set_aside.n_records, 0)
