{#- The grain: no part of the key is null and no key comes twice. One aggregate, no window: cheap on large facts. -#}
{% test unique_combination(model, columns) %}
select {{ columns | join(", ") }}, count(*) as n_rows
from {{ model }}
group by {{ columns | join(", ") }}
having count(*) > 1{% for column in columns %} or {{ column }} is null{% endfor %}
{% endtest %}
