{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='usage_date',
        on_schema_change='fail',
        tags=['daily'],
    )
}}

{#- Validation, estimation and editing (VEE). Two passes over the reads: one has summed them by day and register
    (int_register_days), this one judges each read by those sums. Only incomplete days are laid on a grid. -#}

{%- set days = restated_days() %}
{%- set window_days = var('vee_like_day_window_days') %}

with

reads as (
    {{ latest_reads(days) }}
),

register_days as (
    select * from {{ ref('int_register_days') }}
),

restated_register_days as (
    select * from register_days
    where {{ is_one_of_days('usage_date', days) }}
),

-- What a register may plausibly use in one interval, from its own history before the day.
limits as (
    select
        restated_register_days.service_point_id,
        restated_register_days.register_id,
        restated_register_days.usage_date,
        greatest(
            {{ var('vee_spike_factor') }} * median(history.peak_kwh),
            {{ var('vee_spike_floor_kw') }} * max(restated_register_days.interval_seconds) / 3600.0
        ) as spike_limit_kwh
    from restated_register_days
    inner join register_days as history
        on
            restated_register_days.service_point_id = history.service_point_id
            and restated_register_days.register_id = history.register_id
            and history.usage_date < restated_register_days.usage_date
            and history.usage_date >= {{ add_days('restated_register_days.usage_date', -window_days) }}
    group by
        restated_register_days.service_point_id,
        restated_register_days.register_id,
        restated_register_days.usage_date
    having count(*) >= 3
),

-- Days on which something can be wrong; the others need no judgement read by read.
suspect_days as (
    select
        restated_register_days.service_point_id,
        restated_register_days.register_id,
        restated_register_days.usage_date,
        cast(limits.spike_limit_kwh as decimal(18, 6)) as spike_limit_kwh,
        -- A stuck register repeats one value for the whole day. Zero all day is an empty home, or night for the sun.
        restated_register_days.lowest_kwh = restated_register_days.peak_kwh
        and restated_register_days.peak_kwh > 0
        and restated_register_days.n_reads * restated_register_days.interval_seconds >= 72000 as is_frozen
    from restated_register_days
    left join limits
        on
            restated_register_days.service_point_id = limits.service_point_id
            and restated_register_days.register_id = limits.register_id
            and restated_register_days.usage_date = limits.usage_date
    where
        restated_register_days.peak_kwh > limits.spike_limit_kwh
        or restated_register_days.lowest_kwh < 0
        or restated_register_days.lowest_kwh = restated_register_days.peak_kwh
),

ruled as (
    select
        reads.*,
        suspect_days.spike_limit_kwh,
        case
            when reads.raw_kwh is null then 'absent'
            when reads.raw_kwh < 0 then 'negative'
            when reads.raw_kwh > suspect_days.spike_limit_kwh then 'spike'
            when suspect_days.is_frozen then 'frozen'
            when reads.quality_flag in ('S', 'F', 'E') then 'estimated_by_source'
        end as vee_rule
    from reads
    left join suspect_days
        on
            reads.service_point_id = suspect_days.service_point_id
            and reads.register_id = suspect_days.register_id
            and reads.usage_date = suspect_days.usage_date
),

judged as (
    select
        service_point_id,
        register_id,
        direction,
        interval_start_at,
        start_s,
        interval_seconds,
        raw_kwh,
        case vee_rule when 'negative' then 0 when 'spike' then spike_limit_kwh else raw_kwh end as kwh,
        quality_flag,
        case
            when vee_rule is null then 'valid'
            when vee_rule = 'absent' then 'missing'
            when vee_rule = 'estimated_by_source' then 'estimated'
            else 'questionable'
        end as vee_status,
        vee_rule,
        known_since_at,
        usage_date,
        local_minute,
        -- Interpolation starts only from reads nothing is said about: not from a power failure or a changed meter.
        vee_rule is null and coalesce(reason_code, 0) = 0 as is_anchor
    from ruled
),

-- Local days as instants: 92, 96 or 100 quarter-hours long.
calendar as (
    select
        usage_date,
        {{ epoch_seconds(from_local('cast(usage_date as timestamp)', var('time_zone'))) }} as starts_s,
        {{ epoch_seconds(from_local('cast(' ~ add_days('usage_date', 1) ~ ' as timestamp)', var('time_zone'))) }} as ends_s
    from (select distinct usage_date from restated_register_days) as restated
),

registers as (
    select
        service_point_id,
        register_id,
        max(direction) as direction,
        max(interval_seconds) as interval_seconds,
        {{ epoch_seconds('min(first_start_at)') }} as first_s,
        max(usage_date) as last_date
    from register_days
    group by service_point_id, register_id
),

-- Nothing is missing before it could have been delivered.
delivered_through as (
    select max({{ epoch_seconds('last_start_at') }} + interval_seconds) as through_s
    from register_days
),

expected_days as (
    select
        registers.service_point_id,
        registers.register_id,
        registers.direction,
        registers.interval_seconds,
        calendar.usage_date,
        greatest(calendar.starts_s, registers.first_s) as from_s,
        least(calendar.ends_s, delivered_through.through_s) as to_s
    from registers
    cross join calendar
    cross join delivered_through
    where
        calendar.ends_s > registers.first_s
        and calendar.starts_s < delivered_through.through_s
        and calendar.usage_date <= {{ add_days('registers.last_date', var('vee_open_gap_limit_days')) }}
),

incomplete_days as (
    select expected_days.*
    from expected_days
    left join restated_register_days
        on
            expected_days.service_point_id = restated_register_days.service_point_id
            and expected_days.register_id = restated_register_days.register_id
            and expected_days.usage_date = restated_register_days.usage_date
    where
        coalesce(restated_register_days.n_reads, 0) * expected_days.interval_seconds
        < expected_days.to_s - expected_days.from_s
),

grid as (
    {{
        unnest_series(
            'incomplete_days', 'from_s', 'to_s - interval_seconds', 'interval_seconds',
            ['service_point_id', 'register_id', 'direction', 'interval_seconds', 'usage_date'], 'start_s'
        )
    }}
),

beside as (
    select -1 as days
    union all
    select 0 as days
    union all
    select 1 as days
),

-- The incomplete days and the days beside them: enough to see both ends of a gap that may be interpolated.
neighbourhood_days as (
    select distinct
        incomplete_days.service_point_id,
        incomplete_days.register_id,
        {{ add_days('incomplete_days.usage_date', 'beside.days') }} as usage_date
    from incomplete_days
    cross join beside
),

present as (
    select
        judged.service_point_id,
        judged.register_id,
        judged.start_s,
        case when judged.is_anchor then judged.kwh end as anchor_kwh
    from judged
    inner join neighbourhood_days
        on
            judged.service_point_id = neighbourhood_days.service_point_id
            and judged.register_id = neighbourhood_days.register_id
            and judged.usage_date = neighbourhood_days.usage_date
    where judged.vee_status <> 'missing'
    {%- if days is not none %}
    union all
    -- The day after the last restated one, as it already stands.
    select
        usage.service_point_id,
        usage.register_id,
        {{ epoch_seconds('usage.interval_start_at') }} as start_s,
        case when usage.vee_status = 'valid' then usage.kwh end as anchor_kwh
    from {{ this }} as usage
    inner join neighbourhood_days
        on
            usage.service_point_id = neighbourhood_days.service_point_id
            and usage.register_id = neighbourhood_days.register_id
            and usage.usage_date = neighbourhood_days.usage_date
    where not {{ is_one_of_days('usage.usage_date', days) }} and usage.vee_status <> 'missing'
    {%- endif %}
),

gaps as (
    select grid.*
    from grid
    left join present
        on
            grid.service_point_id = present.service_point_id
            and grid.register_id = present.register_id
            and grid.start_s = present.start_s
    where present.start_s is null
),

timeline as (
    select
        service_point_id,
        register_id,
        start_s,
        anchor_kwh,
        false as is_gap
    from present
    union all
    select
        service_point_id,
        register_id,
        start_s,
        null as anchor_kwh,
        true as is_gap
    from gaps
),

bracketed as (
    select
        service_point_id,
        register_id,
        start_s,
        is_gap,
        last_value(case when not is_gap then start_s end ignore nulls) over before_gap as before_s,
        last_value(case when not is_gap then coalesce(anchor_kwh, -1) end ignore nulls) over before_gap as before_kwh,
        first_value(case when not is_gap then start_s end ignore nulls) over after_gap as after_s,
        first_value(case when not is_gap then coalesce(anchor_kwh, -1) end ignore nulls) over after_gap as after_kwh
    from timeline
    window
        before_gap as (
            partition by service_point_id, register_id order by start_s
            rows between unbounded preceding and current row
        ),
        after_gap as (
            partition by service_point_id, register_id order by start_s
            rows between current row and unbounded following
        )
),

interpolated as (
    select
        gaps.*,
        -- An end that is no anchor (-1) cannot carry a line.
        case
            when
                bracketed.before_kwh >= 0
                and bracketed.after_kwh >= 0
                and bracketed.after_s - bracketed.before_s - gaps.interval_seconds
                <= {{ var('vee_interpolation_limit_seconds') }}
                then
                    bracketed.before_kwh
                    + (bracketed.after_kwh - bracketed.before_kwh)
                    * (gaps.start_s - bracketed.before_s) / (bracketed.after_s - bracketed.before_s)
        end as line_kwh,
        {{ instant_from_epoch('gaps.start_s') }} as interval_start_at
    from gaps
    inner join bracketed
        on
            gaps.service_point_id = bracketed.service_point_id
            and gaps.register_id = bracketed.register_id
            and gaps.start_s = bracketed.start_s
            and bracketed.is_gap
),

placed as (
    select
        *,
        {{ to_local('interval_start_at', var('time_zone')) }} as local_start
    from interpolated
),

filled_by_line as (
    select
        *,
        cast(extract(hour from local_start) * 60 + extract(minute from local_start) as smallint) as local_minute,
        {{ day_type('usage_date') }} as day_type
    from placed
),

long_gap_registers as (
    select distinct
        service_point_id,
        register_id
    from filled_by_line
    where line_kwh is null
),

history as (
    select
        judged.service_point_id,
        judged.register_id,
        judged.usage_date,
        {{ day_type('judged.usage_date') }} as day_type,
        judged.local_minute,
        judged.kwh
    from judged
    inner join long_gap_registers
        on
            judged.service_point_id = long_gap_registers.service_point_id
            and judged.register_id = long_gap_registers.register_id
    where judged.vee_status = 'valid'
    {%- if days is not none %}
    union all
    select
        usage.service_point_id,
        usage.register_id,
        usage.usage_date,
        {{ day_type('usage.usage_date') }} as day_type,
        usage.local_minute,
        usage.kwh
    from {{ this }} as usage
    inner join long_gap_registers
        on
            usage.service_point_id = long_gap_registers.service_point_id
            and usage.register_id = long_gap_registers.register_id
    where
        usage.vee_status = 'valid'
        and not {{ is_one_of_days('usage.usage_date', days) }}
        and usage.usage_date >= {{ add_days("date '" ~ (days | first or '1970-01-01') ~ "'", -window_days) }}
        and usage.usage_date < {{ "date '" ~ (days | last or '1970-01-01') ~ "'" }}
    {%- endif %}
),

like_days as (
    select
        filled_by_line.service_point_id,
        filled_by_line.register_id,
        filled_by_line.start_s,
        avg(history.kwh) as like_kwh
    from filled_by_line
    inner join history
        on
            filled_by_line.service_point_id = history.service_point_id
            and filled_by_line.register_id = history.register_id
            and filled_by_line.day_type = history.day_type
            and filled_by_line.local_minute = history.local_minute
            and history.usage_date < filled_by_line.usage_date
            and history.usage_date >= {{ add_days('filled_by_line.usage_date', -window_days) }}
    where filled_by_line.line_kwh is null
    group by filled_by_line.service_point_id, filled_by_line.register_id, filled_by_line.start_s
),

-- Reads the source itself calls missing keep their flag.
absent_reads as (
    select * from judged
    where vee_status = 'missing'
),

estimated as (
    select
        filled_by_line.service_point_id,
        filled_by_line.register_id,
        filled_by_line.direction,
        filled_by_line.interval_start_at,
        filled_by_line.interval_seconds,
        cast(null as decimal(18, 6)) as raw_kwh,
        cast(coalesce(filled_by_line.line_kwh, like_days.like_kwh) as decimal(18, 6)) as kwh,
        absent_reads.quality_flag,
        case
            when filled_by_line.line_kwh is not null or like_days.like_kwh is not null then 'estimated'
            else 'missing'
        end as vee_status,
        case
            when filled_by_line.line_kwh is not null then 'interpolated'
            when like_days.like_kwh is not null then 'like_days'
            else 'no_history'
        end as vee_rule,
        absent_reads.known_since_at,
        filled_by_line.usage_date,
        filled_by_line.local_minute
    from filled_by_line
    left join like_days
        on
            filled_by_line.service_point_id = like_days.service_point_id
            and filled_by_line.register_id = like_days.register_id
            and filled_by_line.start_s = like_days.start_s
    left join absent_reads
        on
            filled_by_line.service_point_id = absent_reads.service_point_id
            and filled_by_line.register_id = absent_reads.register_id
            and filled_by_line.interval_start_at = absent_reads.interval_start_at
),

final as (
    select
        service_point_id,
        register_id,
        direction,
        interval_start_at,
        interval_seconds,
        raw_kwh,
        kwh,
        quality_flag,
        vee_status,
        vee_rule,
        known_since_at,
        usage_date,
        local_minute
    from judged
    where vee_status <> 'missing'
    union all
    select
        service_point_id,
        register_id,
        direction,
        interval_start_at,
        interval_seconds,
        raw_kwh,
        kwh,
        quality_flag,
        vee_status,
        vee_rule,
        known_since_at,
        usage_date,
        local_minute
    from estimated
)

select * from final
