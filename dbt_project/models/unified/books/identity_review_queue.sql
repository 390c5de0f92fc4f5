with

pairs as (
    select * from {{ ref('int_identity_review') }}
),

record_customers as (
    select * from {{ ref('int_record_customers') }}
),

final as (
    select
        pairs.record_id_l,
        pairs.record_id_r,
        customers_l.customer_id as customer_id_l,
        customers_r.customer_id as customer_id_r,
        pairs.match_probability,
        pairs.evidence
    from pairs
    left join record_customers as customers_l on pairs.record_id_l = customers_l.record_id
    left join record_customers as customers_r on pairs.record_id_r = customers_r.record_id
)

select * from final
