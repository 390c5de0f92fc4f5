{{ config(tags=['daily']) }}

{{ canonical_interval_reads('ami') }}
