{#- Each action the treatment score chose has its row in the next-best-action push, and each letter, call and offer its row
    in the push of its channel: sendable or withheld, once, never neither. -#}

with

customers as (
    select * from {{ ref('customer_360') }}
),

treatment as (
    {{ latest_score('treatment') }}
),

call_plan as (
    {{ latest_score('call_plan') }}
),

planned as (
    select 'action' as kind, subject_id from treatment where action_id <> 'none'
    union all
    select 'letter' as kind, subject_id from treatment where channel = 'letter'
    union all
    select 'email' as kind, subject_id from treatment where channel = 'email'
    union all
    select 'call' as kind, subject_id from call_plan
),

pushed as (
    select 'action' as kind, customer_id from {{ ref('push_crm_next_best_action') }} where action_id <> 'none'
    union all
    select 'letter' as kind, customer_id from {{ ref('push_letters') }}
    union all
    select 'email' as kind, customer_id from {{ ref('push_campaign_audience') }}
    union all
    select 'call' as kind, customer_id from {{ ref('push_dialer_call_list') }}
),

expected as (
    select
        planned.kind,
        planned.subject_id as customer_id,
        count(*) as n
    from planned
    inner join customers on planned.subject_id = customers.customer_id
    group by planned.kind, planned.subject_id
),

found as (
    select
        kind,
        customer_id,
        count(*) as n
    from pushed
    group by kind, customer_id
)

select
    coalesce(expected.kind, found.kind) as kind,
    coalesce(expected.customer_id, found.customer_id) as customer_id
from expected
full outer join found on expected.kind = found.kind and expected.customer_id = found.customer_id
where expected.n is null or found.n is null or expected.n <> found.n
