{#- Which local days of use a run restates.

    Reads delivered with a load date in [business_date_start, business_date_end] touch days of use: those of the day
    itself and those of corrections for earlier days. The day before each is restated too, since a gap at its end is
    interpolated only when the next morning is known. Without the variables, or on a first build, every day is. -#}
{% macro restated_days() -%}
    {%- set reads = ref("int_interval_reads") -%}  {#- named here so that dbt sees the dependency at parse time -#}
    {{ return(delivered_days() if is_incremental() else none) }}
{%- endmacro %}

{#- The days touched by what was delivered, and the day before each; none without the variables. -#}
{% macro delivered_days() -%}
    {%- set reads = ref("int_interval_reads") -%}
    {%- if not (execute and var("business_date_start") and var("business_date_end")) -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set query -%}
        with

        delivered as (
            select distinct cast({{ to_local("interval_start_at", var("time_zone")) }} as date) as usage_date
            from {{ reads }}
            where load_date between date '{{ var("business_date_start") }}' and date '{{ var("business_date_end") }}'
        )

        select usage_date from delivered
        union
        select {{ add_days("usage_date", -1) }} as usage_date from delivered
        order by usage_date
    {%- endset -%}
    {%- set days = [] -%}
    {%- for row in run_query(query).rows -%}{%- do days.append(row[0] | string) -%}{%- endfor -%}
    {{ return(days) }}
{%- endmacro %}

{#- A condition: the date column is one of the days; always true when days is none. -#}
{% macro is_one_of_days(column, days) -%}
    {%- if days is none -%}
        true
    {%- elif not days -%}
        false
    {%- else -%}
        {{ column }} in ({% for day in days %}date '{{ day }}'{{ ", " if not loop.last }}{% endfor %})
    {%- endif -%}
{%- endmacro %}

{#- A condition: the instant lies between the first and the last of the local days. Literal bounds let the reader skip
    files and row groups by their statistics; is_one_of_days is exact. -#}
{% macro is_within_days(column, days) -%}
    {%- if not days -%}
        true
    {%- else -%}
        {{ column }} >= {{ from_local("timestamp '" ~ days | first ~ " 00:00:00'", var("time_zone")) }}
        and {{ column }} < {{ from_local("timestamp '" ~ days | last ~ " 00:00:00' + interval '1' day", var("time_zone")) }}
    {%- endif -%}
{%- endmacro %}

{#- All days of the weeks (Monday to Sunday) that hold one of the days; none stays none. -#}
{% macro weeks_of_days(days) -%}
    {%- if days is none -%}{{ return(none) }}{%- endif -%}
    {%- set all_days = [] -%}
    {%- for day in days -%}
        {%- set date = modules.datetime.date.fromisoformat(day) -%}
        {%- for offset in range(7) -%}
            {%- set other = (date + modules.datetime.timedelta(days=offset - date.weekday())).isoformat() -%}
            {%- if other not in all_days -%}{%- do all_days.append(other) -%}{%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(all_days | sort) }}
{%- endmacro %}
