{#- Read by identity resolution, which runs between staging and unified: so it depends on staging alone. -#}
{{ config(materialized='table') }}

with

customers as (
    select * from {{ ref('stg_cis__customer') }}
),

accounts as (
    select * from {{ ref('stg_cis__account') }}
),

premises as (
    select * from {{ ref('stg_cis__premise') }}
),

contacts as (
    select * from {{ ref('stg_crm__contact') }}
),

-- The account by which other silos most likely know a customer: open before closed, then the newest.
current_accounts as (
    {{ latest_version('accounts', ['customer_no'], ['closed_date desc nulls first', 'opened_date desc', 'account_no']) }}
),

cis_records as (
    select
        'cis:' || customers.customer_no as record_id,
        'cis' as source,
        customers.customer_no as source_key,
        customers.name_kind,
        {{ clean_name('customers.given_name') }} as given_name,
        {{ clean_name('customers.surname') }} as surname,
        {{
            clean_name(
                "coalesce(customers.business_name, concat_ws(' ', customers.given_name, customers.surname))"
            )
        }} as full_name,
        {{ clean_name('customers.business_name') }} as business_name,
        customers.birth_date,
        {{ phone_e164('customers.phone_1') }} as phone_e164,
        {{ phone_e164('customers.phone_2') }} as phone2_e164,
        {{ clean_email('customers.email') }} as email,
        {{ clean_address('premises.address_line') }} as address_line,
        {{ clean_postcode('premises.postcode') }} as postcode,
        current_accounts.account_no,
        customers.changed_at as source_updated_at
    from customers
    left join current_accounts on customers.customer_no = current_accounts.customer_no
    left join premises on current_accounts.premise_no = premises.premise_no
),

crm_records as (
    select
        'crm:' || contact_id as record_id,
        'crm' as source,
        contact_id as source_key,
        {{ name_kind_of('full_name') }} as name_kind,
        {{ clean_name('given_name') }} as given_name,
        {{ clean_name('surname') }} as surname,
        {{ clean_name('full_name') }} as full_name,
        case when {{ name_kind_of('full_name') }} = 'B' then {{ clean_name('full_name') }} end as business_name,
        birth_date,
        {{ phone_e164('phone') }} as phone_e164,
        cast(null as {{ dbt.type_string() }}) as phone2_e164,
        {{ clean_email('email') }} as email,
        {{ clean_address('address_line') }} as address_line,
        {{ clean_postcode('postcode') }} as postcode,
        case when {{ regexp_matches('account_no', '^[0-9]{1,12}$') }} then lpad(account_no, 12, '0') end as account_no,
        updated_at as source_updated_at
    from contacts
),

final as (
    select * from cis_records
    union all
    select * from crm_records
)

select * from final
