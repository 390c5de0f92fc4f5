{#- A customer for whom something was called for but nothing was permitted has a row too: withheld, with the rule. -#}

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
        case
            when treatment.action_id = 'none' then 'suppressed:' || {{ dbt.split_part('treatment.suppressed_by', "','", 1) }}
            else {{ withheld_reason('treatment.purpose', 'treatment.channel') }}
        end as withheld_reason
    from treatment
    inner join customers on treatment.subject_id = customers.customer_id
    where treatment.action_id <> 'none' or treatment.suppressed_by <> ''
)

select * from final
