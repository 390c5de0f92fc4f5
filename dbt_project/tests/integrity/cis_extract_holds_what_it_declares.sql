{#- The trailer of each extract against the rows of raw that came with it: counts of all records, sums of money. -#}

with

declared as (
    select * from {{ ref('stg_cis__extract') }}
),

{% for table in ['customer', 'premise', 'account', 'tariff', 'bill', 'payment'] %}
    {{ table }}_rows as (
        select
            _file_id as file_id,
            count(*) as n,
            {{ 'sum(amount)' if table in ('bill', 'payment') else '0' }} as usd
        from {{ source('cis', table) }}
        group by _file_id
    ),
{% endfor %}

compared as (
    {% for table, plural in [
        ('customer', 'customers'), ('premise', 'premises'), ('account', 'accounts'),
        ('tariff', 'tariffs'), ('bill', 'bills'), ('payment', 'payments'),
    ] %}
        {{ 'union all' if not loop.first }}
        select
            declared.file_id,
            '{{ table }}' as record_type,
            declared.n_{{ plural }} as declared_n,
            coalesce({{ table }}_rows.n, 0) as found_n,
            {{ 'declared.' ~ plural ~ '_usd' if table in ('bill', 'payment') else '0' }} as declared_usd,
            coalesce({{ table }}_rows.usd, 0) as found_usd
        from declared
        left join {{ table }}_rows on declared.file_id = {{ table }}_rows.file_id
    {% endfor %}
)

select *
from compared
where declared_n <> found_n or declared_usd <> found_usd
