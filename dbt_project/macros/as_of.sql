{#- The day the warehouse speaks of, as a date literal: var as_of_date, or today (UTC). -#}
{% macro as_of_date() -%}
    cast('{{ var("as_of_date", none) or run_started_at.strftime("%Y-%m-%d") }}' as date)
{%- endmacro %}

{#- The first instant (UTC) after the local day spoken of: what happened before it is known. -#}
{% macro as_of_end_at() -%}
    {{ from_local("cast(" ~ add_days(as_of_date(), 1) ~ " as timestamp)", var("time_zone")) }}
{%- endmacro %}
