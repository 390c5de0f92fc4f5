with

customers as (
    select * from {{ ref('customer_360') }}
),

treatment as (
    {{ latest_score('treatment') }}
),

final as (
    select
        customers.customer_id || ':' || treatment.action_id as action_key,
        customers.customer_id,
        treatment.action_id,
        treatment.channel,
        treatment.send_window,
        treatment.tone,
        treatment.content_id,
        treatment.reason_1 as reason,
        customers.as_of_date,
        {{ withheld_reason('treatment.purpose', 'treatment.channel') }} as withheld_reason
    from treatment
    inner join customers on treatment.subject_id = customers.customer_id
    where treatment.action_id <> 'none'
)

select * from final
