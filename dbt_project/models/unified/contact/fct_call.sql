with

calls as (
    select * from {{ ref('stg_dialer__call') }}
),

accounts as (
    select * from {{ ref('dim_account') }}
),

aliases as (
    select * from {{ ref('int_customer_aliases') }}
),

placed as (
    select
        *,
        {{ to_local('dialed_at', var('time_zone')) }} as local_time,
        cast({{ to_local('dialed_at', var('time_zone')) }} as date) as local_date
    from calls
),

-- A pushed call names its customer, perhaps by an id merged since; calls from before GridCRM know only the account.
final as (
    select
        placed.call_id,
        coalesce(aliases.customer_id, placed.sent_customer_id, accounts.customer_id) as customer_id,
        placed.account_no as account_id,
        placed.dialed_at,
        placed.local_date,
        {{ half_hour_slot('placed.local_time') }} as local_slot,
        {{ day_type('placed.local_date') }} as day_type,
        placed.disposition,
        placed.disposition = 'answered_rpc' as is_right_party,
        placed.disposition in ('answered_rpc', 'answered_wrong', 'refused') as is_contact,
        cast(placed.talk_seconds as integer) as talk_seconds,
        cast(placed.attempt_no as integer) as attempt_no,
        placed.is_random_slot,
        placed.call_key
    from placed
    left join aliases on placed.sent_customer_id = aliases.alias_customer_id
    left join accounts on placed.account_no = accounts.account_id
)

select * from final
