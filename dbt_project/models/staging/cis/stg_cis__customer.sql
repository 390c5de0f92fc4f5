with

versions as (
    select * from {{ source('cis', 'customer') }}
),

latest as (
    {{ latest_version('versions', ['customer_no'], ['load_date desc', '_loaded_at desc', '_record_no desc']) }}
),

final as (
    select
        {{ padded_key('customer_no', 10) }} as customer_no,
        name_kind,
        trim(title) as title,
        trim(given_name) as given_name,
        trim(surname) as surname,
        trim(business_name) as business_name,
        {{ date_from_yyyymmdd('birth_date') }} as birth_date,
        {{ list_field('phone', 1, 'phone_kind') }} as phone_1_kind,
        {{ list_field('phone', 1, 'phone_no') }} as phone_1,
        {{ list_field('phone', 2, 'phone_kind') }} as phone_2_kind,
        {{ list_field('phone', 2, 'phone_no') }} as phone_2,
        trim(email) as email,
        lower(trim(language)) as language,
        trim(priority_code) as priority_code,
        {{ date_from_yyyymmdd('since_date') }} as since_date,
        {{ instant_from_yyyymmddhhmmss('changed_at', var('time_zone')) }} as changed_at,
        load_date,
        _loaded_at
    from latest
)

select * from final
