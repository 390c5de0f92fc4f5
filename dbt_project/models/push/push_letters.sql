with

customers as (
    select * from {{ ref('customer_360') }}
),

treatment as (
    {{ latest_score('treatment') }}
),

letters as (
    select * from treatment
    where channel = 'letter'
),

bills as (
    select * from {{ ref('fct_bill') }}
    where not is_reversed and open_usd > 0 and issued_date <= {{ as_of_date() }}
),

-- The bill a letter is about: the oldest that is open.
oldest_open_bills as (
    {{ latest_version('bills', ['customer_id'], ['due_date', 'bill_id']) }}
),

-- The id begins with the customer and names bill and step, so that no step is written twice about one bill.
final as (
    select
        customers.customer_id || '-'
        || coalesce(oldest_open_bills.bill_id, cast(customers.as_of_date as {{ dbt.type_string() }})) || '-'
        || letters.action_id as letter_id,
        customers.customer_id,
        coalesce(oldest_open_bills.account_id, customers.primary_account_id) as account_no,
        customers.full_name,
        customers.address_line,
        customers.city,
        customers.state_code,
        customers.postcode,
        letters.content_id,
        customers.language,
        letters.tone,
        oldest_open_bills.open_usd as amount_due_usd,
        oldest_open_bills.due_date,
        oldest_open_bills.bill_id,
        letters.purpose,
        {{
            withheld_reason(
                'letters.purpose',
                "'letter'",
                treatment='letters',
                requires=[("letters.purpose in ('collections', 'payment_help') and oldest_open_bills.bill_id is null", 'nothing_due')],
            )
        }} as withheld_reason
    from letters
    inner join customers on letters.subject_id = customers.customer_id
    left join oldest_open_bills on customers.customer_id = oldest_open_bills.customer_id
)

select * from final
