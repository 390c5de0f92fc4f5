{#- Patterns, and lists of text. -#}

{#- Every match of a pattern replaced. -#}
{% macro regexp_replace_all(text, pattern, replacement) -%}
    {{ adapter.dispatch("regexp_replace_all", "gridcrm")(text, pattern, replacement) }}
{%- endmacro %}
{% macro default__regexp_replace_all(text, pattern, replacement) -%}
    regexp_replace({{ text }}, '{{ pattern | replace("'", "''") }}', '{{ replacement }}')
{%- endmacro %}
{% macro duckdb__regexp_replace_all(text, pattern, replacement) -%}
    regexp_replace({{ text }}, '{{ pattern | replace("'", "''") }}', '{{ replacement }}', 'g')
{%- endmacro %}

{#- Whether a pattern is found in the text. -#}
{% macro regexp_matches(text, pattern) -%}{{ adapter.dispatch("regexp_matches", "gridcrm")(text, pattern) }}{%- endmacro %}
{% macro default__regexp_matches(text, pattern) -%}{{ text }} rlike '{{ pattern }}'{%- endmacro %}
{% macro duckdb__regexp_matches(text, pattern) -%}regexp_matches({{ text }}, '{{ pattern }}'){%- endmacro %}

{#- The first match of a pattern; null when there is none. -#}
{% macro regexp_first(text, pattern) -%}{{ adapter.dispatch("regexp_first", "gridcrm")(text, pattern) }}{%- endmacro %}
{% macro default__regexp_first(text, pattern) -%}nullif(regexp_extract({{ text }}, '{{ pattern }}', 0), ''){%- endmacro %}
{% macro duckdb__regexp_first(text, pattern) -%}nullif(regexp_extract({{ text }}, '{{ pattern }}'), ''){%- endmacro %}

{#- The distinct values of a group as one text: a,b,c in order. -#}
{% macro comma_list(value) -%}{{ adapter.dispatch("comma_list", "gridcrm")(value) }}{%- endmacro %}
{% macro default__comma_list(value) -%}array_join(array_sort(collect_set({{ value }})), ','){%- endmacro %}
{% macro duckdb__comma_list(value) -%}string_agg(distinct {{ value }}, ',' order by {{ value }}){%- endmacro %}

{#- The hexadecimal MD5 of a text: a short fingerprint, no secret. -#}
{% macro fingerprint(text) -%}md5({{ text }}){%- endmacro %}

{#- Of a group, the value that belongs to the greatest of another column; a null value may win. -#}
{% macro latest_by(value, ordering) -%}{{ adapter.dispatch("latest_by", "gridcrm")(value, ordering) }}{%- endmacro %}
{% macro default__latest_by(value, ordering) -%}max_by({{ value }}, {{ ordering }}){%- endmacro %}
{% macro duckdb__latest_by(value, ordering) -%}arg_max_null({{ value }}, {{ ordering }}){%- endmacro %}
