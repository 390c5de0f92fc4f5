with

customers as (
    select * from {{ ref('customer_360') }}
),

customer_value as (
    {{ latest_score('customer_value') }}
),

decline as (
    {{ latest_score('decline') }}
),

segments as (
    {{ latest_score('segments') }}
),

non_payment as (
    {{ latest_score('non_payment') }}
),

treatment as (
    {{ latest_score('treatment') }}
),

final as (
    select
        customers.customer_id,
        customers.primary_account_id as account_no,
        customers.contact_ids,
        customers.as_of_date,
        customer_value.value_band,
        cast(customer_value.clv_12m_usd as decimal(12, 2)) as clv_12m_usd,
        cast(customer_value.clv_60m_usd as decimal(12, 2)) as clv_60m_usd,
        decline.lifecycle_stage,
        segments.value_segment,
        -- Derived from interval reads: leaves only by consent.
        case when customers.consent_profiling_interval then segments.load_shape_segment end as load_shape_segment,
        non_payment.payment_segment,
        case when treatment.action_id <> 'none' then treatment.action_id end as next_action_id,
        case when treatment.action_id <> 'none' then treatment.channel end as next_action_channel,
        case when treatment.action_id <> 'none' then treatment.reason_1 end as next_action_reason,
        customers.is_priority,
        customers.has_open_dispute,
        concat_ws(
            ',', customer_value.model_version, decline.model_version, segments.model_version,
            non_payment.model_version, treatment.model_version
        ) as model_version,
        case
            when customers.is_deceased then 'deceased'
            when customer_value.subject_id is null or not customer_value.eligible then 'ineligible'
        end as withheld_reason
    from customers
    left join customer_value on customers.customer_id = customer_value.subject_id
    left join decline on customers.customer_id = decline.subject_id
    left join segments on customers.customer_id = segments.subject_id
    left join non_payment on customers.customer_id = non_payment.subject_id
    left join treatment on customers.customer_id = treatment.subject_id
)

select * from final
