with

record_customers as (
    select * from {{ ref('int_record_customers') }}
),

fields as (
    select * from {{ ref('int_customer_fields') }}
),

accounts as (
    select * from {{ ref('int_customer_accounts') }}
),

billing as (
    select * from {{ ref('int_customer_billing') }}
),

usage as (
    select * from {{ ref('int_customer_usage') }}
),

contact as (
    select * from {{ ref('int_customer_contact') }}
),

consent as (
    select * from {{ ref('int_customer_consent') }}
),

flags as (
    select * from {{ ref('int_customer_flags') }}
),

preferences as (
    select * from {{ ref('int_customer_preferences') }}
),

premises as (
    select * from {{ ref('dim_premise') }}
),

cis_customers as (
    select * from {{ ref('stg_cis__customer') }}
),

records as (
    select
        record_customers.customer_id,
        count(*) as n_source_records,
        {{ comma_list("case when record_customers.source = 'crm' then record_customers.source_key end") }} as contact_ids,
        min(cis_customers.since_date) as since_date
    from record_customers
    left join cis_customers on record_customers.record_id = 'cis:' || cis_customers.customer_no
    group by record_customers.customer_id
),

person as (
    select
        customer_id,
        max(case when field = 'full_name' then value end) as full_name,
        max(case when field = 'name_kind' then value end) as name_kind,
        max(case when field = 'given_name' then value end) as given_name,
        max(case when field = 'surname' then value end) as surname,
        max(case when field = 'birth_date' then value end) as birth_date,
        max(case when field = 'phone_e164' then value end) as phone_e164,
        max(case when field = 'email' then value end) as email,
        max(case when field = 'language' then value end) as language
    from fields
    group by customer_id
),

final as (
    select
        records.customer_id,

        -- who
        person.full_name,
        person.name_kind,
        person.given_name,
        person.surname,
        cast(person.birth_date as date) as birth_date,
        person.phone_e164 as primary_phone_e164,
        person.email,
        coalesce(person.language, 'en') as language,

        -- where
        premises.address_line,
        premises.city,
        premises.state_code,
        premises.postcode,
        coalesce(premises.time_zone, '{{ var("time_zone") }}') as time_zone,

        -- which accounts and records
        accounts.primary_account_id,
        accounts.primary_premise_id,
        accounts.primary_service_point_id,
        accounts.account_ids,
        cast(coalesce(accounts.n_accounts, 0) as integer) as n_accounts,
        cast(coalesce(accounts.n_active_accounts, 0) as integer) as n_active_accounts,
        records.contact_ids,
        cast(records.n_source_records as integer) as n_source_records,

        -- contract
        records.since_date,
        {{ months_between('records.since_date', as_of_date()) }} as tenure_months,
        accounts.tariff_code,
        accounts.contract_end_date,
        {{ days_between(as_of_date(), 'accounts.contract_end_date') }} as days_to_contract_end,
        accounts.payment_method,
        coalesce(accounts.is_paperless, false) as is_paperless,

        -- what is owed
        cast(coalesce(accounts.balance_usd, 0) as decimal(12, 2)) as balance_usd,
        cast(coalesce(billing.arrears_usd, 0) as decimal(12, 2)) as arrears_usd,
        coalesce({{ days_between('billing.oldest_open_due_date', as_of_date()) }}, 0) as days_past_due,
        billing.oldest_open_due_date,

        -- who needs care, who must be left alone
        coalesce(flags.has_open_dispute, false) as has_open_dispute,
        coalesce(flags.has_active_plan, false) as has_active_plan,
        coalesce(flags.is_medical, false) as is_medical,
        coalesce(flags.is_vulnerable, false) as is_vulnerable,
        coalesce(flags.is_deceased, false) as is_deceased,
        coalesce(flags.is_bankrupt, false) as is_bankrupt,
        coalesce(flags.is_do_not_contact, false) as is_do_not_contact,
        coalesce(preferences.is_do_not_call, false) as is_do_not_call,
        coalesce(flags.is_medical, false) or coalesce(flags.is_vulnerable, false) as is_priority,

        -- a year of bills
        cast(coalesce(billing.bills_12m, 0) as integer) as bills_12m,
        cast(coalesce(billing.billed_12m_usd, 0) as decimal(12, 2)) as billed_12m_usd,
        cast(coalesce(billing.billed_12m_kwh, 0) as decimal(14, 3)) as billed_12m_kwh,
        cast(coalesce(billing.late_bills_12m, 0) as integer) as late_bills_12m,
        cast(billing.avg_days_late_12m as double) as avg_days_late_12m,
        cast(coalesce(billing.returned_payments_12m, 0) as integer) as returned_payments_12m,

        -- use
        cast(usage.usage_30d_kwh as decimal(18, 6)) as usage_30d_kwh,
        cast(usage.usage_prev_30d_kwh as decimal(18, 6)) as usage_prev_30d_kwh,
        cast(usage.export_30d_kwh as decimal(18, 6)) as export_30d_kwh,

        -- what happened lately
        cast(coalesce(contact.n_outages_90d, 0) as integer) as n_outages_90d,
        cast(coalesce(contact.outage_minutes_90d, 0) as integer) as outage_minutes_90d,
        cast(coalesce(contact.n_interactions_90d, 0) as integer) as n_interactions_90d,
        cast(coalesce(contact.n_complaints_90d, 0) as integer) as n_complaints_90d,
        cast(coalesce(contact.n_call_attempts_7d, 0) as integer) as n_call_attempts_7d,
        contact.last_contact_at,

        -- wishes and consent; unknown is no
        preferences.preferred_channel,
        preferences.preferred_slot,
        coalesce(consent.consent_marketing_email, false) as consent_marketing_email,
        coalesce(consent.consent_marketing_phone, false) as consent_marketing_phone,
        coalesce(consent.consent_marketing_letter, false) as consent_marketing_letter,
        coalesce(consent.consent_collections_phone, false) as consent_collections_phone,
        -- A letter about one's own bill needs no consent, so only a refusal is of interest.
        coalesce(not consent.consent_collections_letter, false) as has_refused_collections_letter,
        coalesce(consent.consent_profiling_interval, false) as consent_profiling_interval,
        coalesce(left(consent.state_fingerprint, 12), 'none') as consent_version,

        -- the end
        coalesce(accounts.has_ended, false) as has_ended,
        accounts.end_reason,
        accounts.ended_date,
        {{ as_of_date() }} as as_of_date
    from records
    left join person on records.customer_id = person.customer_id
    left join accounts on records.customer_id = accounts.customer_id
    left join premises on accounts.primary_premise_id = premises.premise_id
    left join billing on records.customer_id = billing.customer_id
    left join usage on records.customer_id = usage.customer_id
    left join contact on records.customer_id = contact.customer_id
    left join consent on records.customer_id = consent.customer_id
    left join flags on records.customer_id = flags.customer_id
    left join preferences on records.customer_id = preferences.customer_id
)

select * from final
