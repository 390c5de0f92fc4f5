{#- None of the columns is null in the rows that satisfy a condition (all rows when none is given). -#}
{% test not_null_where(model, columns, where="true") %}
select {{ columns | join(", ") }}
from {{ model }}
where ({{ where }}) and ({% for column in columns %}{{ "or " if not loop.first }}{{ column }} is null {% endfor %})
{% endtest %}
