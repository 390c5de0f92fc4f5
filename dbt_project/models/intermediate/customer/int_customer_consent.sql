{#- Consent by purpose and channel as one row: a refusal for `any` channel refuses each, unknown is no. -#}

with

consents as (
    select
        *,
        purpose || '/' || channel || '/' || granularity || '=' || cast(is_granted as varchar) as said
    from {{ ref('consent_current') }}
),

final as (
    select
        customer_id,
        {% for purpose, channel in [
            ('marketing', 'email'), ('marketing', 'phone'), ('marketing', 'letter'),
            ('collections', 'phone'), ('collections', 'letter'),
        ] -%}
            bool_and(
                case when purpose = '{{ purpose }}' and channel in ('{{ channel }}', 'any') then is_granted end
            ) as consent_{{ purpose }}_{{ channel }},
        {% endfor -%}
        bool_and(
            case when purpose = 'profiling' and granularity = 'interval' then is_granted end
        ) as consent_profiling_interval,
        {{ fingerprint(comma_list('said')) }} as state_fingerprint
    from consents
    group by customer_id
)

select * from final
