{#- Free text made comparable and callable. Nothing here guesses: what is not valid becomes null. -#}

{#- Digits of a North American number as +1XXXXXXXXXX; null unless area code and exchange can exist. -#}
{% macro phone_e164(column) -%}
    {%- set digits = regexp_replace_all(regexp_replace_all("lower(" ~ column ~ ")", "(x|ext).*$", ""), "[^0-9]", "") -%}
    case
        when {{ regexp_matches(digits, "^1?[2-9][0-9]{2}[2-9][0-9]{6}$") }}
            then '+1' || right({{ digits }}, 10)
    end
{%- endmacro %}

{#- Lower-case address; null unless it has one at sign and a dotted domain. -#}
{% macro clean_email(column) -%}
    case
        when {{ regexp_matches("lower(trim(" ~ column ~ "))", "^[^@ ]+@[^@ ]+[.][^@ .]+$") }}
            then lower(trim({{ column }}))
    end
{%- endmacro %}

{#- Lower-case letters and digits with single spaces; null when nothing is left. -#}
{% macro clean_name(column) -%}
    nullif(trim({{ regexp_replace_all(regexp_replace_all("lower(" ~ column ~ ")", "['’.]", ""), "[^a-z0-9à-ÿ]+", " ") }}), '')
{%- endmacro %}

{#- Upper-case letters and digits with single spaces; null when nothing is left. -#}
{% macro clean_address(column) -%}
    nullif(trim({{ regexp_replace_all("upper(" ~ column ~ ")", "[^A-Z0-9À-Þ]+", " ") }}), '')
{%- endmacro %}

{#- The first five digits of a postcode; null when there are fewer. -#}
{% macro clean_postcode(column) -%}
    case when {{ regexp_matches(column, "^ *[0-9]{5}") }} then left(trim({{ column }}), 5) end
{%- endmacro %}

{#- A number as zero-padded text: keys of the mainframe are digits with a fixed width. -#}
{% macro padded_key(column, width) -%}
    lpad(cast({{ column }} as {{ dbt.type_string() }}), {{ width }}, '0')
{%- endmacro %}

{#- B for a name that says it is a business, else P: only for silos that do not say which. -#}
{% macro name_kind_of(column) -%}
    case
        when {{ regexp_matches("lower(" ~ column ~ ")", "(^|[^a-z])(llc|inc|ltd|corp|co|company|school|church|store|cafe|clinic)([^a-z]|$)") }}
            then 'B'
        when {{ column }} is not null then 'P'
    end
{%- endmacro %}
