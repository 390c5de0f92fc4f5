"""Coverage-guided fuzzing of the decoders: ``make fuzz FORMAT=nem12``; short runs are part of tests."""
