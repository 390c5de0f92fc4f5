{#- What is derived from interval reads leaves only for customers who agreed to it. -#}

select pushed.customer_id
from {{ ref('push_crm_customer_score') }} as pushed
inner join {{ ref('customer_360') }} as customers on pushed.customer_id = customers.customer_id
where pushed.load_shape_segment is not null and not customers.consent_profiling_interval
