{#- No row satisfies the condition: a rule about one row, said in SQL. -#}
{% test never_true(model, condition) %}
select *
from {{ model }}
where {{ condition }}
{% endtest %}
