{{ canonical_register_reads('ami') }}
