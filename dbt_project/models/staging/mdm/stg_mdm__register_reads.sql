{{ canonical_register_reads('mdm') }}
