{#- Operations get a window in which to call, never the likelihood that made it. -#}

with

customers as (
    select * from {{ ref('customer_360') }}
),

call_plan as (
    {{ latest_score('call_plan') }}
),

treatment as (
    {{ latest_score('treatment') }}
),

final as (
    select
        customers.customer_id || ':' || cast(call_plan.call_date as {{ dbt.type_string() }}) as call_key,
        customers.customer_id,
        customers.primary_account_id as account_no,
        customers.primary_phone_e164 as phone_e164,
        cast(call_plan.call_date as date) as call_date,
        nullif(call_plan.window_start_local, '') as window_start_local,
        nullif(call_plan.window_end_local, '') as window_end_local,
        customers.time_zone,
        call_plan.purpose,
        cast(call_plan.priority as integer) as priority,
        treatment.content_id,
        customers.language,
        cast(greatest(least(3, 7 - customers.n_call_attempts_7d), 0) as integer) as max_attempts,
        {{
            withheld_reason(
                'call_plan.purpose',
                "'phone'",
                requires=[
                    ('not call_plan.eligible', 'no_capacity'),
                    ('customers.n_call_attempts_7d >= 7', 'attempt_cap'),
                    ("call_plan.window_start_local < '08:00' or call_plan.window_end_local > '21:00'", 'outside_call_hours'),
                ],
            )
        }} as withheld_reason
    from call_plan
    inner join customers on call_plan.subject_id = customers.customer_id
    left join treatment on customers.customer_id = treatment.subject_id
    where call_plan.call_date is not null
)

select * from final
