{{ config(tags=['daily']) }}

{%- for meter_source in var('meter_sources') %}
    select
        '{{ meter_source }}' as source,
        *
    from {{ ref('stg_' ~ meter_source ~ '__interval_reads') }}
    {{ 'union all' if not loop.last }}
{%- endfor %}
