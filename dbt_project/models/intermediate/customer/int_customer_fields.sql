{#- Survivorship: of what the silos say about a customer, one value a field, with where and when it comes from. -#}

with

record_customers as (
    select * from {{ ref('int_record_customers') }}
),

customers as (
    select * from {{ ref('stg_cis__customer') }}
),

contacts as (
    select * from {{ ref('stg_crm__contact') }}
),

preferences as (
    select * from {{ ref('stg_crm__preference') }}
),

accounts as (
    select * from {{ ref('stg_cis__account') }}
),

-- A customer number that still has an open account speaks before one that has none.
open_customer_numbers as (
    select distinct customer_no
    from accounts
    where closed_date is null
),

-- A mobile reaches its owner, whichever place it was typed in.
callable as (
    select
        *,
        case
            when phone_2_kind = 'M' and coalesce(phone_1_kind, '') <> 'M' then phone_2
            else phone_1
        end as mobile_or_first_phone
    from customers
),

cis_values as (
    {% set cis_fields = {
        'name_kind': 'customers.name_kind',
        'given_name': 'customers.given_name',
        'surname': 'customers.surname',
        'full_name': "coalesce(business_name, nullif(concat_ws(' ', given_name, surname), ''))",
        'birth_date': 'cast(customers.birth_date as varchar)',
        'email': clean_email('customers.email'),
        'phone_e164': phone_e164('mobile_or_first_phone'),
        'language': 'customers.language',
    } -%}
    {% for field, value in cis_fields.items() %}
        {{ "union all" if not loop.first }}
        select
            'cis:' || customers.customer_no as record_id,
            '{{ field }}' as field,
            {{ value }} as value,
            case when open_customer_numbers.customer_no is not null then 1 else 2 end as precedence,
            customers.changed_at as source_updated_at
        from callable as customers
        left join open_customer_numbers on customers.customer_no = open_customer_numbers.customer_no
    {% endfor %}
),

-- Language is a preference, and the CRM is where customers state those: it comes first for this field only.
crm_values as (
    {% set crm_fields = {
        'name_kind': name_kind_of('contacts.full_name'),
        'given_name': 'contacts.given_name',
        'surname': 'contacts.surname',
        'full_name': 'contacts.full_name',
        'birth_date': 'cast(contacts.birth_date as varchar)',
        'email': clean_email('contacts.email'),
        'phone_e164': phone_e164('contacts.phone'),
    } -%}
    {% for field, value in crm_fields.items() %}
        select
            'crm:' || contacts.contact_id as record_id,
            '{{ field }}' as field,
            {{ value }} as value,
            3 as precedence,
            contacts.updated_at as source_updated_at
        from contacts
        union all
    {% endfor %}
    select
        'crm:' || contact_id as record_id,
        'language' as field,
        language as value,
        0 as precedence,
        updated_at as source_updated_at
    from preferences
),

candidates as (
    select * from cis_values
    union all
    select * from crm_values
),

known as (
    select
        record_customers.customer_id,
        candidates.field,
        candidates.value,
        record_customers.source,
        candidates.record_id,
        candidates.precedence,
        candidates.source_updated_at
    from candidates
    inner join record_customers on candidates.record_id = record_customers.record_id
    where candidates.value is not null and candidates.value <> ''
),

chosen as (
    {{ latest_version('known', ['customer_id', 'field'], ['precedence', 'source_updated_at desc', 'record_id']) }}
),

final as (
    select
        customer_id,
        field,
        value,
        source,
        record_id,
        source_updated_at
    from chosen
)

select * from final
