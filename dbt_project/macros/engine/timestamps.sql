{#- Instants (UTC) and wall-clock time in a named zone. -#}

{#- An instant as wall-clock time in a zone (a timestamp without zone). -#}
{% macro to_local(instant, time_zone) -%}{{ adapter.dispatch("to_local", "gridcrm")(instant, time_zone) }}{%- endmacro %}
{% macro default__to_local(instant, time_zone) -%}from_utc_timestamp({{ instant }}, '{{ time_zone }}'){%- endmacro %}
{% macro duckdb__to_local(instant, time_zone) -%}timezone('{{ time_zone }}', {{ instant }}){%- endmacro %}

{#- Wall-clock time in a zone as an instant. -#}
{% macro from_local(local_time, time_zone) -%}{{ adapter.dispatch("from_local", "gridcrm")(local_time, time_zone) }}{%- endmacro %}
{% macro default__from_local(local_time, time_zone) -%}to_utc_timestamp({{ local_time }}, '{{ time_zone }}'){%- endmacro %}
{% macro duckdb__from_local(local_time, time_zone) -%}timezone('{{ time_zone }}', {{ local_time }}){%- endmacro %}

{#- A number YYYYMMDDHHMMSS of wall-clock time as an instant; 0 and impossible times are null. -#}
{% macro instant_from_yyyymmddhhmmss(column, time_zone) -%}
    {{ adapter.dispatch("instant_from_yyyymmddhhmmss", "gridcrm")(column, time_zone) }}
{%- endmacro %}
{% macro default__instant_from_yyyymmddhhmmss(column, time_zone) -%}
    to_utc_timestamp(try_to_timestamp(cast(nullif({{ column }}, 0) as string), 'yyyyMMddHHmmss'), '{{ time_zone }}')
{%- endmacro %}
{% macro duckdb__instant_from_yyyymmddhhmmss(column, time_zone) -%}
    timezone('{{ time_zone }}', try_strptime(cast(nullif({{ column }}, 0) as varchar), '%Y%m%d%H%M%S'))
{%- endmacro %}

{#- Text in ISO 8601 with an offset as an instant; a timestamp passes unchanged. -#}
{% macro instant(column) -%}{{ adapter.dispatch("instant", "gridcrm")(column) }}{%- endmacro %}
{% macro default__instant(column) -%}cast({{ column }} as timestamp){%- endmacro %}
{% macro duckdb__instant(column) -%}cast({{ column }} as timestamptz){%- endmacro %}

{#- Seconds since 1970-01-01 UTC, whole. -#}
{% macro epoch_seconds(instant) -%}{{ adapter.dispatch("epoch_seconds", "gridcrm")(instant) }}{%- endmacro %}
{% macro default__epoch_seconds(instant) -%}unix_timestamp({{ instant }}){%- endmacro %}
{% macro duckdb__epoch_seconds(instant) -%}(epoch_us({{ instant }}) // 1000000){%- endmacro %}

{#- Wall-clock time in a zone as seconds since its own 1970-01-01: local days and minutes by whole division. -#}
{% macro local_epoch_seconds(instant, time_zone) -%}
    {{ epoch_seconds(to_local(instant, time_zone)) }}
{%- endmacro %}

{#- The instant so many seconds after 1970-01-01 UTC. -#}
{% macro instant_from_epoch(seconds) -%}{{ adapter.dispatch("instant_from_epoch", "gridcrm")(seconds) }}{%- endmacro %}
{% macro default__instant_from_epoch(seconds) -%}timestamp_seconds({{ seconds }}){%- endmacro %}
{% macro duckdb__instant_from_epoch(seconds) -%}to_timestamp({{ seconds }}){%- endmacro %}

{#- The date so many seconds after 1970-01-01, of seconds that already count local time. -#}
{% macro date_from_epoch(seconds) -%}{{ adapter.dispatch("date_from_epoch", "gridcrm")(seconds) }}{%- endmacro %}
{% macro default__date_from_epoch(seconds) -%}date_from_unix_date(cast(floor(({{ seconds }}) / 86400) as int)){%- endmacro %}
{% macro duckdb__date_from_epoch(seconds) -%}(date '1970-01-01' + cast(({{ seconds }}) // 86400 as integer)){%- endmacro %}

{#- Half-hour of the day, 0 to 47, of a wall-clock time. -#}
{% macro half_hour_slot(local_time) -%}
    cast(extract(hour from {{ local_time }}) * 2 + floor(extract(minute from {{ local_time }}) / 30) as integer)
{%- endmacro %}

{#- Minutes between two instants, rounded down. -#}
{% macro minutes_between(earlier, later) -%}
    cast(floor(({{ epoch_seconds(later) }} - {{ epoch_seconds(earlier) }}) / 60) as integer)
{%- endmacro %}
