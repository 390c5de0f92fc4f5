with

versions as (
    select * from {{ source('oms', 'outage') }}
),

latest as (
    {{ latest_version('versions', ['outage_id', 'premise_no'], ['load_date desc', '_loaded_at desc', '_record_no desc']) }}
),

final as (
    select
        trim(outage_id) as outage_id,
        nullif(trim(feeder), '') as feeder,
        {{ padded_key('premise_no', 10) }} as premise_no,
        {{ instant('started_at') }} as started_at,
        {{ instant('restored_at') }} as restored_at,
        cause,
        load_date,
        _loaded_at
    from latest
)

select * from final
