{#- Lists and structs, as decoded from repeated groups. -#}

{#- A field of the n-th struct (from 1) of a list; null when the list is shorter. -#}
{% macro list_field(list, position, field) -%}{{ adapter.dispatch("list_field", "gridcrm")(list, position, field) }}{%- endmacro %}
{% macro default__list_field(list, position, field) -%}get({{ list }}, {{ position - 1 }}).{{ field }}{%- endmacro %}
{% macro duckdb__list_field(list, position, field) -%}{{ list }}[{{ position }}].{{ field }}{%- endmacro %}

{#- One row per struct of a list, with its position from 1: select … from relation, structs as item. -#}
{% macro unnest_structs(relation, list, columns) -%}
    {{ adapter.dispatch("unnest_structs", "gridcrm")(relation, list, columns) }}
{%- endmacro %}
{% macro default__unnest_structs(relation, list, columns) -%}
    select {{ columns | join(", ") }}, position + 1 as position, item
    from {{ relation }} lateral view posexplode({{ list }}) as position, item
{%- endmacro %}
{% macro duckdb__unnest_structs(relation, list, columns) -%}
    select {{ columns | join(", ") }}, generate_subscripts({{ list }}, 1) as position, unnest({{ list }}) as item
    from {{ relation }}
{%- endmacro %}

{#- One row per step from a first to a last number, both included; first and last may be columns of the relation. -#}
{% macro unnest_series(relation, first, last, step, columns, alias) -%}
    {{ adapter.dispatch("unnest_series", "gridcrm")(relation, first, last, step, columns, alias) }}
{%- endmacro %}
{% macro default__unnest_series(relation, first, last, step, columns, alias) -%}
    select {% for column in columns %}{{ column }}, {% endfor %}explode(sequence({{ first }}, {{ last }}, {{ step }})) as {{ alias }}
    from {{ relation }}
{%- endmacro %}
{% macro duckdb__unnest_series(relation, first, last, step, columns, alias) -%}
    select {% for column in columns %}{{ column }}, {% endfor %}unnest(generate_series({{ first }}, {{ last }}, {{ step }})) as {{ alias }}
    from {{ relation }}
{%- endmacro %}

{#- How many items a JSON list has, as text. -#}
{% macro json_list_length(text) -%}cast(json_array_length({{ text }}) as integer){%- endmacro %}

{#- How many objects of a JSON list, as text, hold a value in a field. -#}
{% macro json_list_count(text, field, value) -%}
    {{ adapter.dispatch("json_list_count", "gridcrm")(text, field, value) }}
{%- endmacro %}
{% macro default__json_list_count(text, field, value) -%}
    size(filter(from_json({{ text }}, 'array<struct<{{ field }}:string>>'), item -> item.{{ field }} = '{{ value }}'))
{%- endmacro %}
{% macro duckdb__json_list_count(text, field, value) -%}
    cast(len(list_filter(json_extract_string({{ text }}, '$[*].{{ field }}'), lambda item : item = '{{ value }}')) as integer)
{%- endmacro %}
