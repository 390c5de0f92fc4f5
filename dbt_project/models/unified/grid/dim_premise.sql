with

premises as (
    select * from {{ ref('stg_cis__premise') }}
),

final as (
    select
        'P' || premise_no as premise_id,
        premise_no,
        address_line,
        city,
        state_code,
        postcode,
        feeder,
        weather_station,
        coalesce(time_zone, '{{ var("time_zone") }}') as time_zone,
        dwelling,
        cast(latitude as decimal(8, 5)) as latitude,
        cast(longitude as decimal(8, 5)) as longitude
    from premises
)

select * from final
