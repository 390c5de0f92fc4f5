{#- The canonical reads of a source as staging shows them. Every meter format decodes to the same two tables, so a source
    of reads differs from the next in nothing but its name: a staging model calls these with it. -#}
{% macro canonical_interval_reads(source_name) -%}
    with

    source as (
        select * from {{ source(source_name, 'interval_reads') }}
    ),

    final as (
        select
            service_point_id,
            register_id,
            meter_serial,
            direction,
            interval_start_at,
            interval_seconds,
            -- An N read says that there was none: whatever stands in the value is not a reading.
            case when quality_flag <> 'N' then value end as raw_kwh,
            quality_flag,
            quality_method,
            reason_code,
            coalesce(updated_at, _loaded_at) as known_since_at,
            record_no as source_record_no,
            load_date,
            _file_id,
            _record_no,
            _loaded_at
        from source
        where unit = 'kWh'
    )

    select * from final
{%- endmacro %}

{#- Two meters are read at one moment when one takes the other's place: the serial is part of the key. -#}
{% macro canonical_register_reads(source_name) -%}
    with

    versions as (
        select * from {{ source(source_name, 'register_reads') }}
    ),

    latest as (
        {{
            latest_version(
                'versions',
                ['service_point_id', 'register_id', "coalesce(meter_serial, '')", 'read_to_at'],
                ['updated_at desc', '_loaded_at desc', '_record_no desc']
            )
        }}
    ),

    final as (
        select
            service_point_id,
            register_id,
            meter_serial,
            direction,
            unit,
            read_from_at,
            read_to_at,
            previous_read,
            current_read,
            quantity,
            quality_flag,
            quality_method,
            reason_code,
            updated_at,
            load_date,
            _loaded_at
        from latest
    )

    select * from final
{%- endmacro %}
