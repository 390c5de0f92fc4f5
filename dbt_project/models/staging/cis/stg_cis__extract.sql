with

headers as (
    select * from {{ source('cis', 'header') }}
),

trailers as (
    select * from {{ source('cis', 'trailer') }}
),

final as (
    select
        headers._file_id as file_id,
        trim(headers.extract_id) as extract_id,
        {{ date_from_yyyymmdd('headers.business_date') }} as business_date,
        {{ instant_from_yyyymmddhhmmss('headers.created_at', var('time_zone')) }} as created_at,
        trailers.customer_count as n_customers,
        trailers.premise_count as n_premises,
        trailers.account_count as n_accounts,
        trailers.tariff_count as n_tariffs,
        trailers.bill_count as n_bills,
        trailers.payment_count as n_payments,
        trailers.bill_amount as bills_usd,
        trailers.payment_amount as payments_usd,
        headers.load_date,
        headers._loaded_at
    from headers
    inner join trailers on headers._file_id = trailers._file_id
)

select * from final
