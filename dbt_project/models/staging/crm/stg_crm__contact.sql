with

versions as (
    select * from {{ source('crm', 'contact') }}
),

latest as (
    {{ latest_version('versions', ['contact_id'], ['_loaded_at desc', 'updated_at desc', '_record_no desc']) }}
),

final as (
    select
        trim(contact_id) as contact_id,
        trim(full_name) as full_name,
        trim(given_name) as given_name,
        trim(surname) as surname,
        trim(email) as email,
        trim(phone) as phone,
        trim(address_line) as address_line,
        trim(city) as city,
        trim(postcode) as postcode,
        nullif(trim(account_no), '') as account_no,
        birth_date,
        created_at,
        updated_at,
        _loaded_at
    from latest
    where not coalesce(_is_deleted, false)
)

select * from final
