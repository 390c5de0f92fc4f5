with

versions as (
    select * from {{ source('cis', 'account') }}
),

latest as (
    {{ latest_version('versions', ['account_no'], ['load_date desc', '_loaded_at desc', '_record_no desc']) }}
),

final as (
    select
        {{ padded_key('account_no', 12) }} as account_no,
        {{ padded_key('customer_no', 10) }} as customer_no,
        {{ padded_key('premise_no', 10) }} as premise_no,
        trim(service_point) as service_point_id,
        trim(meter_serial) as meter_serial,
        trim(tariff_code) as tariff_code,
        {{ date_from_yyyymmdd('opened_date') }} as opened_date,
        {{ date_from_yyyymmdd('closed_date') }} as closed_date,
        trim(close_reason) as close_reason,
        {{ date_from_yyyymmdd('contract_end_date') }} as contract_end_date,
        balance as balance_usd,
        trim(payment_method) as payment_method,
        coalesce(is_paperless = 'Y', false) as is_paperless,
        {{ instant_from_yyyymmddhhmmss('changed_at', var('time_zone')) }} as changed_at,
        load_date,
        _loaded_at
    from latest
)

select * from final
