{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='usage_date',
        on_schema_change='fail',
        tags=['daily'],
    )
}}

{%- set days = restated_days() %}

with

reads as (
    {{ latest_reads(days) }}
),

final as (
    select
        service_point_id,
        register_id,
        usage_date,
        min(direction) as direction,
        min(interval_seconds) as interval_seconds,
        count(raw_kwh) as n_reads,
        min(raw_kwh) as lowest_kwh,
        max(raw_kwh) as peak_kwh,
        min(interval_start_at) as first_start_at,
        max(interval_start_at) as last_start_at
    from reads
    group by service_point_id, register_id, usage_date
)

select * from final
