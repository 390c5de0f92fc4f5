{#- Why a row must not leave. One place for the hard rules, in the order in which they are told: whoever asks why a
    customer was not reached gets the rule that weighs most. Null means the row may be sent.

    customers: alias of customer_360; treatment: alias of the score that chose the action;
    purpose and channel: SQL expressions; requires: pairs of (condition under which it is withheld, reason), last. -#}
{% macro withheld_reason(purpose, channel, customers="customers", treatment="treatment", requires=[]) -%}
    case
        when {{ customers }}.is_deceased then 'deceased'
        when {{ purpose }} in ('collections', 'payment_help') and {{ customers }}.is_bankrupt then 'bankruptcy'
        when {{ customers }}.is_do_not_contact then 'do_not_contact'
        when {{ channel }} = 'phone' and {{ customers }}.is_do_not_call then 'do_not_call'
        -- A letter that presses for money is not written to those who need care; help with paying may be offered.
        when {{ purpose }} = 'collections' and {{ channel }} = 'letter' and {{ customers }}.is_priority
            then 'priority_customer'
        when {{ purpose }} in ('collections', 'payment_help') and {{ customers }}.has_open_dispute then 'open_dispute'
        when {{ purpose }} in ('collections', 'payment_help') and {{ customers }}.has_active_plan then 'active_plan'
        when not coalesce({{ has_consent(purpose, channel, customers) }}, false)
            then 'no_consent:' || {{ purpose }} || ':' || {{ channel }}
        when {{ channel }} = 'phone' and {{ customers }}.primary_phone_e164 is null then 'no_phone'
        when {{ channel }} = 'email' and {{ customers }}.email is null then 'no_email'
        when {{ channel }} = 'letter' and ({{ customers }}.address_line is null or {{ customers }}.postcode is null)
            then 'no_address'
        when {{ purpose }} = 'marketing' and {{ treatment }}.is_holdout then 'holdout'
        when not coalesce({{ treatment }}.eligible, true) then 'ineligible'
        {% for condition, reason in requires -%}
        when {{ condition }} then '{{ reason }}'
        {% endfor -%}
    end
{%- endmacro %}

{#- Whether a purpose and channel may be used. Marketing and calls about debt need a yes. Letters about the own bill and
    service messages rest on the contract, so that only a refusal stops them. Anything else is no. -#}
{% macro has_consent(purpose, channel, customers) -%}
    case
        when {{ purpose }} = 'marketing' and {{ channel }} = 'email' then {{ customers }}.consent_marketing_email
        when {{ purpose }} = 'marketing' and {{ channel }} = 'phone' then {{ customers }}.consent_marketing_phone
        when {{ purpose }} = 'marketing' and {{ channel }} = 'letter' then {{ customers }}.consent_marketing_letter
        when {{ purpose }} in ('collections', 'payment_help') and {{ channel }} = 'phone'
            then {{ customers }}.consent_collections_phone
        when {{ purpose }} in ('collections', 'payment_help') and {{ channel }} = 'letter'
            then not {{ customers }}.has_refused_collections_letter
        when {{ purpose }} = 'service' then true
    end
{%- endmacro %}
