{#- Of all versions of a key in a relation, the one that comes first in the given order (newest first). -#}
{% macro latest_version(relation, key, order_by) -%}
    select *
    from (
        select
            *,
            row_number() over (
                partition by {{ key | join(", ") }}
                order by {{ order_by | join(", ") }}
            ) as version_rank
        from {{ relation }}
    ) as ranked
    where version_rank = 1
{%- endmacro %}
