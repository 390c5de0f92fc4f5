{#- The newest run of a score that is not later than the as-of date: one row a subject. -#}
{% macro latest_score(score) -%}
    select *
    from {{ source("scores", score) }}
    where
        as_of_date = (
            select max(as_of_date)
            from {{ source("scores", score) }}
            where as_of_date <= {{ as_of_date() }}
        )
{%- endmacro %}
