{#- Who needs care and who must be left alone, as of the day: from the ledger's flags, disputes and plans, and from
    the priority code of the CIS. One account with a flag flags the customer. -#}

with

accounts as (
    select * from {{ ref('dim_account') }}
    where customer_id is not null
),

flags as (
    select * from {{ ref('stg_collections__account_flag') }}
    where from_date <= {{ as_of_date() }} and (to_date is null or to_date >= {{ as_of_date() }})
),

disputes as (
    select * from {{ ref('stg_collections__dispute') }}
    where opened_at < {{ as_of_end_at() }} and (closed_at is null or closed_at >= {{ as_of_end_at() }})
),

plans as (
    select * from {{ ref('stg_collections__payment_plan') }}
    where status = 'active' and started_date <= {{ as_of_date() }}
),

cis_customers as (
    select * from {{ ref('stg_cis__customer') }}
    where priority_code is not null
),

record_customers as (
    select * from {{ ref('int_record_customers') }}
),

marks as (
    select
        account_no,
        flag as mark
    from flags
    union
    select
        account_no,
        'open_dispute' as mark
    from disputes
    union
    select
        account_no,
        'active_plan' as mark
    from plans
),

customer_marks as (
    select
        accounts.customer_id,
        marks.mark
    from marks
    inner join accounts on marks.account_no = accounts.account_id
    union
    select
        record_customers.customer_id,
        case cis_customers.priority_code when 'ME' then 'medical' when 'VU' then 'vulnerable' end as mark
    from cis_customers
    inner join record_customers on 'cis:' || cis_customers.customer_no = record_customers.record_id
),

final as (
    select
        customer_id,
        bool_or(mark = 'medical') as is_medical,
        bool_or(mark = 'vulnerable') as is_vulnerable,
        bool_or(mark = 'deceased') as is_deceased,
        bool_or(mark = 'bankruptcy') as is_bankrupt,
        bool_or(mark = 'do_not_contact') as is_do_not_contact,
        bool_or(mark = 'open_dispute') as has_open_dispute,
        bool_or(mark = 'active_plan') as has_active_plan
    from customer_marks
    where mark is not null
    group by customer_id
)

select * from final
