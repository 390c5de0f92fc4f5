{#- Days: whole dates, without a time or a zone. -#}

{#- A number YYYYMMDD as a date; 0 and impossible dates are null. -#}
{% macro date_from_yyyymmdd(column) -%}{{ adapter.dispatch("date_from_yyyymmdd", "gridcrm")(column) }}{%- endmacro %}
{% macro default__date_from_yyyymmdd(column) -%}
    try_to_date(cast(nullif({{ column }}, 0) as string), 'yyyyMMdd')
{%- endmacro %}
{% macro duckdb__date_from_yyyymmdd(column) -%}
    cast(try_strptime(cast(nullif({{ column }}, 0) as varchar), '%Y%m%d') as date)
{%- endmacro %}

{#- A date some days later (or earlier, when negative). -#}
{% macro add_days(date, days) -%}{{ adapter.dispatch("add_days", "gridcrm")(date, days) }}{%- endmacro %}
{% macro default__add_days(date, days) -%}date_add({{ date }}, {{ days }}){%- endmacro %}
{% macro duckdb__add_days(date, days) -%}({{ date }} + ({{ days }})){%- endmacro %}

{#- Whole days from one date to a later one. -#}
{% macro days_between(earlier, later) -%}{{ adapter.dispatch("days_between", "gridcrm")(earlier, later) }}{%- endmacro %}
{% macro default__days_between(earlier, later) -%}datediff({{ later }}, {{ earlier }}){%- endmacro %}
{% macro duckdb__days_between(earlier, later) -%}cast({{ later }} - {{ earlier }} as integer){%- endmacro %}

{#- Whole months from one date to a later one (a month is complete on the same day of the month). -#}
{% macro months_between(earlier, later) -%}{{ adapter.dispatch("months_between", "gridcrm")(earlier, later) }}{%- endmacro %}
{% macro default__months_between(earlier, later) -%}
    cast(floor(months_between({{ later }}, {{ earlier }})) as int)
{%- endmacro %}
{% macro duckdb__months_between(earlier, later) -%}
    cast(datesub('month', {{ earlier }}, {{ later }}) as integer)
{%- endmacro %}

{#- A date some months later (or earlier, when negative). -#}
{% macro add_months_to(date, months) -%}{{ adapter.dispatch("add_months_to", "gridcrm")(date, months) }}{%- endmacro %}
{% macro default__add_months_to(date, months) -%}add_months({{ date }}, {{ months }}){%- endmacro %}
{% macro duckdb__add_months_to(date, months) -%}
    cast({{ date }} + to_months(cast({{ months }} as integer)) as date)
{%- endmacro %}

{#- The Monday of the week a date lies in. -#}
{% macro week_start(date) -%}{{ adapter.dispatch("week_start", "gridcrm")(date) }}{%- endmacro %}
{% macro default__week_start(date) -%}cast(date_trunc('week', {{ date }}) as date){%- endmacro %}
{% macro duckdb__week_start(date) -%}({{ date }} - cast(isodow({{ date }}) - 1 as integer)){%- endmacro %}

{#- weekday (Monday to Friday) or weekend. -#}
{% macro day_type(date) -%}{{ adapter.dispatch("day_type", "gridcrm")(date) }}{%- endmacro %}
{% macro default__day_type(date) -%}
    case when weekday({{ date }}) >= 5 then 'weekend' else 'weekday' end
{%- endmacro %}
{% macro duckdb__day_type(date) -%}
    case when isodow({{ date }}) >= 6 then 'weekend' else 'weekday' end
{%- endmacro %}
