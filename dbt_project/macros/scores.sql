{#- The newest run of a score that is not later than the as-of date: one row a subject. By a join, since DuckDB 1.5
    fails to prune hive partitions by a scalar subquery over a second scan of the same files. -#}
{% macro latest_score(score) -%}
    select scored.*
    from {{ source("scores", score) }} as scored
    inner join (
        select max(as_of_date) as as_of_date
        from {{ source("scores", score) }}
        where as_of_date <= {{ as_of_date() }}
    ) as latest
        on scored.as_of_date = latest.as_of_date
{%- endmacro %}
