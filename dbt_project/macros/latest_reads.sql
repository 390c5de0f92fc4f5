{#- The reads of some local days (all when none), each in the version that counts, with its place in local time.

    A macro and not a model, because the days to restate differ with the caller and must reach the scan of raw:
    a view over years of reads could not skip what it does not need.

    Two things keep this at one pass without a sort. Only register-days delivered by more than one record are ranked,
    which is where corrections are; and the zone's offset is looked up once an hour, not once a read. -#}
{% macro latest_reads(days) -%}
    {%- set bucket = "(start_s + " ~ var("market_day_offset_seconds") ~ ") // 86400" %}
    with

    reads as (
        select
            service_point_id,
            register_id,
            direction,
            interval_start_at,
            interval_seconds,
            raw_kwh,
            quality_flag,
            reason_code,
            known_since_at,
            source_record_no,
            _file_id,
            _record_no,
            _loaded_at,
            {{ epoch_seconds("interval_start_at") }} as start_s
        from {{ ref("int_interval_reads") }}
        where {{ is_within_days("interval_start_at", days) }}
    ),

    contested as (
        select
            service_point_id,
            register_id,
            {{ bucket }} as market_day
        from reads
        group by service_point_id, register_id, market_day
        having min(_file_id) <> max(_file_id) or min(source_record_no) <> max(source_record_no)
    ),

    ranked as (
        select
            reads.*,
            row_number() over (
                partition by reads.service_point_id, reads.register_id, reads.interval_start_at
                order by reads.known_since_at desc, reads._loaded_at desc, reads._record_no desc
            ) as version_rank
        from reads
        inner join contested
            on
                reads.service_point_id = contested.service_point_id
                and reads.register_id = contested.register_id
                and {{ bucket }} = contested.market_day
    ),

    uncontested as (
        select reads.*
        from reads
        left join contested
            on
                reads.service_point_id = contested.service_point_id
                and reads.register_id = contested.register_id
                and {{ bucket }} = contested.market_day
        where contested.market_day is null
    ),

    latest as (
        {% set columns -%}
            service_point_id, register_id, direction, interval_start_at, start_s, interval_seconds, raw_kwh,
            quality_flag, reason_code, known_since_at
        {%- endset -%}
        select {{ columns }}
        from uncontested
        union all
        select {{ columns }}
        from ranked
        where version_rank = 1
    ),

    span as (
        select
            min(start_s) // 3600 as first_hour,
            max(start_s) // 3600 as last_hour
        from reads
    ),

    hours as (
        {{ unnest_series("span", "first_hour", "last_hour", 1, [], "hour_no") }}
    ),

    -- Zones change their offset on the hour.
    offsets as (
        select
            hour_no,
            {{ local_epoch_seconds(instant_from_epoch("hour_no * 3600"), var("time_zone")) }}
            - hour_no * 3600 as offset_s
        from hours
    ),

    placed as (
        select
            latest.*,
            latest.start_s + offsets.offset_s as local_s
        from latest
        inner join offsets on latest.start_s // 3600 = offsets.hour_no
    ),

    dated as (
        select
            *,
            {{ date_from_epoch("local_s") }} as usage_date,
            cast(local_s % 86400 // 60 as smallint) as local_minute
        from placed
    )

    select *
    from dated
    where {{ is_one_of_days("usage_date", days) }}
{%- endmacro %}
