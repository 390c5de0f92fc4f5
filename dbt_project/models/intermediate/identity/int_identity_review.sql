with

review as (
    select * from {{ source('gridcrm', 'identity_review') }}
),

final as (
    select
        record_id_l,
        record_id_r,
        match_probability,
        evidence
    from review
)

select * from final
